// Package backup copies a data folder while it is in use, and puts a copy back so that its record
// still verifies.
//
// A backup is one file, the same for both engines: a gzipped tar of the main database, the telemetry day files, a manifest with the
// SHA-256 of each, and the manifest's signature by the record's signer. It never holds the key folder.
// What that means for a finder of the file: secrets, contents of the record and captured texts are
// sealed under keys that are not in it, and tokens are only hashes; the working tables (incidents,
// persons, orders) are in the clear. Keep it like the data folder itself, and keep the key folder
// elsewhere: without it a backup can be neither read in full nor restored.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

const (
	format       = 1
	manifestFile = "manifest.json"
	noteFile     = "manifest.note"
	telemetryDir = "telemetry"
	purpose      = "backup"
)

// Manifest says what is in a backup.
type Manifest struct {
	Format     int    `json:"fengsui_backup"`
	CreatedMs  int64  `json:"created_ms"`
	Checkpoint string `json:"checkpoint"` // signed note over the copied record
	Files      []File `json:"files"`
}

// File is one file of a backup, by its path inside the data folder.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Source is what is backed up.
type Source struct {
	DataDir      string
	Database     string // the main database and telemetry, where that is PostgreSQL
	TelemetryDir string // default: telemetry inside DataDir
	Keys         *secret.Keys
	Clock        clock.Clock
}

// Create copies the data folder to a new file out, mode 0600, whether or not a server uses it. The main
// database is one consistent snapshot; the telemetry days follow it, so that they hold at least what
// the record says about closed segments. Errors: fault conflict backup.exists, backup.pinned_day if a day
// that evidence is pinned on is not there to be copied; not_found backup.no_data.
func Create(ctx context.Context, src Source, out string) (*Manifest, error) {
	if _, err := os.Lstat(out); err == nil {
		return nil, fault.Conflict("out", "backup.exists", "file", filepath.Base(out))
	}
	if _, err := os.Stat(filepath.Join(src.DataDir, store.MainFile)); err != nil && src.Database == "" {
		return nil, fault.NotFound("data", "backup.no_data").Because(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".fengsui-backup-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	m := &Manifest{Format: format, CreatedMs: clock.Ms(src.Clock)}
	if err := copyAll(ctx, src, work, m); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, manifestFile), raw, 0o600); err != nil {
		return nil, err
	}
	if err := sign(ctx, src.Keys, work, raw); err != nil {
		return nil, err
	}
	return m, pack(ctx, work, m, out)
}

// copyAll copies the databases into work and lists them in m.
func copyAll(ctx context.Context, src Source, work string, m *Manifest) error {
	main := filepath.Join(work, store.MainFile)
	days, err := src.copy(ctx, work)
	if err != nil {
		return err
	}
	db, err := store.OpenSQLite(ctx, main, store.Relaxed, 1)
	if err != nil {
		return err
	}
	var pinned []string
	if err := db.NewRaw(`SELECT DISTINCT day FROM evidence WHERE day <> '' ORDER BY day`).Scan(ctx, &pinned); err != nil {
		return errors.Join(fmt.Errorf("read the pinned days: %w", err), db.Close())
	}
	c, err := record.New(record.Options{Keys: src.Keys}).SignHead(ctx, db, m.CreatedMs)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("sign the copied record: %w", err)
	}
	if c != nil {
		m.Checkpoint = c.Note
	}
	names := []string{store.MainFile}
	for _, d := range days {
		names = append(names, telemetryDir+"/"+d)
	}
	for _, day := range pinned {
		if !slices.Contains(names, telemetryDir+"/"+telemetry.FileOf(day)) {
			return fault.Conflict("data", "backup.pinned_day", "day", day)
		}
	}
	for _, n := range names {
		f, err := describe(filepath.Join(work, filepath.FromSlash(n)))
		if err != nil {
			return err
		}
		f.Name = n
		m.Files = append(m.Files, f)
	}
	return nil
}

// copy writes the main database and then the days into work, in the form of a data folder, and gives the files of the days. A
// PostgreSQL database is copied as of one snapshot.
func (src Source) copy(ctx context.Context, work string) (files []string, err error) {
	if src.Database != "" {
		m, err := toFolder(ctx, src.DataDir, src.Database, work)
		if err != nil {
			return nil, err
		}
		for _, day := range m.Days {
			files = append(files, telemetry.FileOf(day))
		}
		return files, nil
	}
	if src.TelemetryDir == "" {
		src.TelemetryDir = filepath.Join(src.DataDir, telemetryDir)
	}
	if err := copyDB(ctx, filepath.Join(src.DataDir, store.MainFile), filepath.Join(work, store.MainFile), store.Durable); err != nil {
		return nil, err
	}
	days, err := dayFiles(src.TelemetryDir)
	if err != nil {
		return nil, err
	}
	if len(days) > 0 {
		if err := os.Mkdir(filepath.Join(work, telemetryDir), 0o700); err != nil {
			return nil, err
		}
	}
	for _, d := range days {
		err := copyDB(ctx, filepath.Join(src.TelemetryDir, d), filepath.Join(work, telemetryDir, d), store.Relaxed)
		if errors.Is(err, os.ErrNotExist) {
			continue // its retention ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		files = append(files, d)
	}
	return files, nil
}

// copyDB writes a consistent copy of a database that others may be writing to.
func copyDB(ctx context.Context, from, to string, d store.Durability) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	db, err := store.OpenSQLite(ctx, from, d, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, to)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", filepath.Base(from), err)
	}
	return os.Chmod(to, 0o600)
}

func dayFiles(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if _, ok := telemetry.DayOf(e.Name()); ok {
			out = append(out, e.Name())
		}
	}
	sort.Strings(out)
	return out, nil
}

func describe(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return File{Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

// sign puts the signature of the manifest beside it, by the signer of the copied record.
func sign(ctx context.Context, keys *secret.Keys, work string, manifest []byte) error {
	// The copy was opened once before it was hashed; opening it again to read changes no byte.
	db, err := store.OpenSQLite(ctx, filepath.Join(work, store.MainFile), store.Relaxed, 1)
	if err != nil {
		return err
	}
	note, err := record.New(record.Options{Keys: keys}).SignText(ctx, db, purpose, manifestLine(manifest))
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("sign the manifest: %w", err)
	}
	return os.WriteFile(filepath.Join(work, noteFile), []byte(note), 0o600)
}

func manifestLine(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return "sha256 " + hex.EncodeToString(sum[:]) + "\n"
}
