package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// pack writes the archive beside its final name, syncs it, and gives it its name only then.
func pack(ctx context.Context, work string, m *Manifest, out string) error {
	f, err := os.CreateTemp(filepath.Dir(out), ".fengsui-backup-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t := tar.NewWriter(z)
	names := []string{manifestFile, noteFile}
	for _, file := range m.Files {
		names = append(names, file.Name)
	}
	for _, n := range names {
		if err = errors.Join(ctx.Err(), add(t, filepath.Join(work, filepath.FromSlash(n)), n, time.UnixMilli(m.CreatedMs))); err != nil {
			break
		}
	}
	if err = errors.Join(err, t.Close(), z.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Link(f.Name(), out) // a link never replaces what came meanwhile
	if err != nil && !errors.Is(err, os.ErrExist) {
		err = os.Rename(f.Name(), out) // a file system without links
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(out))
}

func add(t *tar.Writer, path, name string, at time.Time) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: st.Size(), ModTime: at, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// unpack takes a backup apart into dir and checks every file against the manifest. It gives the manifest and
// its signature. Anything that Create does not write is fault invalid backup.damaged.
func unpack(ctx context.Context, from, dir string) (m *Manifest, raw []byte, note string, err error) {
	f, err := os.Open(from)
	if err != nil {
		return nil, nil, "", err
	}
	defer f.Close()
	damaged := func(cause error) error {
		return fault.Invalid("from", "backup.damaged", "file", filepath.Base(from)).Because(cause)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, nil, "", damaged(err)
	}
	t := tar.NewReader(z)
	var sealed []byte
	for _, part := range []struct {
		name string
		into *[]byte
	}{{manifestFile, &raw}, {noteFile, &sealed}} {
		h, err := t.Next()
		if err != nil || h.Name != part.name || h.Size > 16<<20 {
			return nil, nil, "", damaged(err)
		}
		if *part.into, err = io.ReadAll(t); err != nil {
			return nil, nil, "", damaged(err)
		}
	}
	m = &Manifest{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil || m.Format != format {
		return nil, nil, "", damaged(err)
	}
	for _, want := range m.Files {
		if err := ctx.Err(); err != nil {
			return nil, nil, "", err
		}
		h, err := t.Next()
		if err != nil || h.Name != want.Name || h.Size != want.Size || !known(want.Name) {
			return nil, nil, "", damaged(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(want.Name))
		if err := extract(t, path); err != nil {
			return nil, nil, "", damaged(err)
		}
		got, err := describe(path)
		if err != nil {
			return nil, nil, "", err
		}
		if got.Size != want.Size || got.SHA256 != want.SHA256 {
			return nil, nil, "", damaged(errors.New(want.Name))
		}
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return nil, nil, "", damaged(err)
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // the checksum stands at the very end
		return nil, nil, "", damaged(err)
	}
	return m, raw, string(sealed), nil
}

// known reports whether a backup may hold a file of this name; no other path is ever written.
func known(name string) bool {
	file, inside := strings.CutPrefix(name, telemetryDir+"/")
	_, isDay := telemetry.DayOf(file)
	return name == store.MainFile || inside && isDay
}

func extract(r io.Reader, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
