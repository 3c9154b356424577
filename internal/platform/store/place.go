package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// PlaceFile is the name of the file in a data folder that says that its main database is PostgreSQL.
const PlaceFile = "database.json"

// Place is where the main database of a data folder is, without user and password. Instance is the origin of its record.
type Place struct {
	Host     string `json:"host"` // several addresses: the first
	Port     string `json:"port"`
	Database string `json:"database"`
	Instance string `json:"instance"`
	Moving   bool   `json:"moving,omitempty"` // being moved there by fengsui migrate; neither side is to be served
}

func (p Place) sentence(key string) error {
	return fault.Conflict("database", key, "host", p.Host, "port", p.Port, "name", p.Database)
}

// PlaceOf gives the place of an address. Error: fault invalid store.bad_database.
func PlaceOf(database string) (Place, error) {
	c, err := pgx.ParseConfig(database)
	if err != nil {
		return Place{}, fault.Invalid("database", "store.bad_database") // the cause may hold the password
	}
	return Place{Host: c.Host, Port: strconv.Itoa(int(c.Port)), Database: c.Database}, nil
}

// ReadPlace reads what a data folder remembers; nil if its main database is SQLite or there is none yet.
func ReadPlace(dir string) (*Place, error) {
	raw, err := os.ReadFile(filepath.Join(dir, PlaceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &Place{}
	return p, json.Unmarshal(raw, p)
}

// Remember writes the place into a data folder, durably.
func (p Place) Remember(dir string) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+PlaceFile+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(dir, PlaceFile))
}

// placed refuses to open a folder as what it is not: forgetting --database would begin an empty instance beside the real one, and
// so would naming one for a folder that holds a database. Errors: fault conflict store.elsewhere, store.here, store.moving.
func (o Options) placed() error {
	p, err := ReadPlace(o.Dir)
	switch {
	case err != nil:
		return err
	case p != nil && p.Moving:
		return p.sentence("store.moving")
	case p != nil && o.Database == "":
		return p.sentence("store.elsewhere")
	case o.Database == "":
		return nil
	}
	if _, err := os.Stat(filepath.Join(o.Dir, MainFile)); err == nil {
		return fault.Conflict("database", "store.here", "folder", o.Dir)
	}
	return nil
}

// Confirm compares the database that was opened with the one that the folder was last served with, and remembers it. An address
// may change, as after a failover; the instance may not. It does nothing on SQLite. Error: fault conflict store.other_instance.
func (s *Store) Confirm(instance string) error {
	if s.pg == nil {
		return nil
	}
	now := Place{Host: s.pg.config.Host, Port: strconv.Itoa(int(s.pg.config.Port)), Database: s.pg.config.Database, Instance: instance}
	was, err := ReadPlace(s.dir)
	switch {
	case err != nil:
		return err
	case was != nil && was.Instance != instance:
		return was.sentence("store.other_instance")
	case was != nil && *was == now:
		return nil
	}
	return now.Remember(s.dir)
}
