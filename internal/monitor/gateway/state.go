package gateway

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/posture"
)

// stateFile keeps the last signed bundle. The signature travels with it, so the file needs no trust.
type stateFile struct{ dir string }

const (
	bundleName = "bundle.json"
	maxBundle  = 512 << 20
)

func (f stateFile) make() error { return os.MkdirAll(f.dir, 0o700) }

// load gives nil, nil if there is no file.
func (f stateFile) load() (*posture.Signed, error) {
	file, err := os.Open(filepath.Join(f.dir, bundleName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var s posture.Signed
	if err := json.UnmarshalRead(io.LimitReader(file, maxBundle), &s, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	return &s, nil
}

// save replaces the file as a whole: after a crash either the old or the new bundle is there.
func (f stateFile) save(s posture.Signed) (err error) {
	tmp, err := os.CreateTemp(f.dir, bundleName+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err = json.MarshalWrite(tmp, s); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), filepath.Join(f.dir, bundleName)); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
