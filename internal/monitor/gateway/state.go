package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/posture"
)

// stateFile keeps the last signed bundle. The signature travels with it, so the file needs no trust.
//
// Beside it lie two spares, blank and big enough for a bundle. A disk that has no room takes them still, because what is
// written over needs none: a restart must find the orders that were acknowledged. There are two so that a kill in the
// middle of one leaves the other.
type stateFile struct {
	dir   string
	spare int  // the one that is written over next
	used  bool // a spare is newer than the bundle
}

const (
	bundleName = "bundle.json"
	spareName  = "bundle.spare"
	maxBundle  = 512 << 20
	spareStep  = 64 << 10 // spares grow by as much
)

func (f *stateFile) make() error { return os.MkdirAll(f.dir, 0o700) }

// kept is a bundle on the disk, and in which spare; -1 for none.
type kept struct {
	posture.Signed
	spare int
}

// load gives the bundle, and then what is in the spares; nothing if there is no bundle. A bundle that cannot be read is an error,
// because a spare may be older.
func (f *stateFile) load() ([]kept, error) {
	s, err := readBundle(filepath.Join(f.dir, bundleName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := []kept{{s, -1}}
	for i := range 2 {
		if s, err := readBundle(f.spareAt(i)); err == nil {
			all, f.used = append(all, kept{s, i}), true
		}
	}
	return all, nil
}

func readBundle(path string) (s posture.Signed, err error) {
	file, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer func() { _ = file.Close() }()
	return s, json.UnmarshalRead(io.LimitReader(file, maxBundle), &s, json.RejectUnknownMembers(true))
}

func (f *stateFile) spareAt(i int) string { return filepath.Join(f.dir, fmt.Sprint(spareName, ".", i)) }

// save keeps a bundle: in its file, or in a spare if there is no room for another.
func (f *stateFile) save(s posture.Signed) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = f.replace(raw)
	switch {
	case err == nil:
		f.reserve(len(raw))
		return nil
	case errors.Is(err, syscall.ENOSPC):
		if over(f.spareAt(f.spare), raw) == nil {
			f.spare, f.used = 1-f.spare, true
			return nil
		}
	}
	return err
}

// reserve sees that the spares are there, big enough and blank. Without room it leaves them as they are; then the next bundle may
// not be kept, as its acknowledgement says.
func (f *stateFile) reserve(need int) {
	for i := range 2 {
		info, err := os.Stat(f.spareAt(i))
		switch {
		case err != nil || info.Size() < int64(need):
			blank := bytes.Repeat([]byte{' '}, (need/spareStep+1)*spareStep)
			_ = os.WriteFile(f.spareAt(i), blank, 0o600)
		case f.used:
			_ = over(f.spareAt(i), nil)
		}
	}
	f.used = false
}

// over writes over a file from its beginning to its end, which stays where it is; the rest is blank.
func over(path string, raw []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(len(raw)) {
		return syscall.ENOSPC
	}
	if _, err := file.Write(append(slices.Clone(raw), bytes.Repeat([]byte{' '}, int(info.Size())-len(raw))...)); err != nil {
		return err
	}
	return file.Sync()
}

// replace replaces the file as a whole: after a crash either the old or the new bundle is there.
func (f *stateFile) replace(raw []byte) (err error) {
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
	if _, err = tmp.Write(raw); err != nil {
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
