package secret

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

const (
	kekHeader = "fengsui-kek-v1 "
	sealedV1  = 1 // first byte of everything sealed under a KEK
	idSize    = 8 // bytes of a KEK's id
)

var (
	kekFile  = regexp.MustCompile(`^kek-(\d{4})\.key$`)
	itemName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,120}$`)
)

// Keys is the key folder: the key-encryption keys, of which the newest seals, and small files sealed
// under it (signing keys). It is neither in the data folder nor in a backup: who has a backup and no
// key folder reads no secret and no payload. Safe for concurrent use.
type Keys struct {
	dir string

	mu      sync.RWMutex
	boxes   map[[idSize]byte]Box
	current [idSize]byte
}

// DefaultDir is the key folder that belongs to a data folder if none is configured: next to it.
func DefaultDir(dataDir string) string { return filepath.Clean(dataDir) + "-keys" }

// Open opens the key folder, making it (mode 0700) and a first key (mode 0600) if there is none.
// Errors: fault kind unavailable secret.loose_permissions if others may read it; else I/O errors.
func Open(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k, err := OpenExisting(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := addKEK(dir, 1); err != nil {
		return nil, err
	}
	return OpenExisting(dir)
}

// OpenExisting opens a key folder and makes nothing; without a key the error is fs.ErrNotExist.
func OpenExisting(dir string) (*Keys, error) {
	k := &Keys{dir: dir}
	return k, k.load()
}

// Dir is the key folder.
func (k *Keys) Dir() string { return k.dir }

func (k *Keys) load() error {
	if err := private(k.dir); err != nil {
		return err
	}
	names, err := kekNames(k.dir)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("no key in the key folder: %w", fs.ErrNotExist)
	}
	boxes := map[[idSize]byte]Box{}
	var current [idSize]byte
	for _, n := range names { // sorted: the last one is the newest
		key, err := readKEK(filepath.Join(k.dir, n))
		if err != nil {
			return err
		}
		box, err := NewBox(key)
		if err != nil {
			return err
		}
		current = kekID(key)
		boxes[current] = box
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boxes, k.current = boxes, current
	return nil
}

// Seal encrypts plain under the newest KEK. The label must be given again to Unseal.
func (k *Keys) Seal(label string, plain []byte) []byte {
	k.mu.RLock()
	id, box := k.current, k.boxes[k.current]
	k.mu.RUnlock()
	return append(append([]byte{sealedV1}, id[:]...), box.Seal(label, plain)...)
}

// Unseal decrypts what Seal made under any KEK of the folder. Errors: fault unavailable
// secret.unknown_key if the KEK is not in this folder; ErrUnseal if bytes or label are not right.
func (k *Keys) Unseal(label string, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+idSize || sealed[0] != sealedV1 {
		return nil, ErrUnseal
	}
	id := [idSize]byte(sealed[1 : 1+idSize])
	box, ok := k.box(id)
	if !ok {
		// Another process may have rotated the key since we read the folder.
		if err := k.load(); err != nil {
			return nil, err
		}
		if box, ok = k.box(id); !ok {
			return nil, fault.Unavailable("secret.unknown_key", "key", hex.EncodeToString(id[:]))
		}
	}
	return box.Unseal(label, sealed[1+idSize:])
}

func (k *Keys) box(id [idSize]byte) (Box, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	b, ok := k.boxes[id]
	return b, ok
}

// SealedUnder is the id of the KEK that sealed these bytes, in hex; "" if they are not sealed bytes.
func SealedUnder(sealed []byte) string {
	if len(sealed) < 1+idSize || sealed[0] != sealedV1 {
		return ""
	}
	return hex.EncodeToString(sealed[1 : 1+idSize])
}

// Current is the id of the KEK that seals now, in hex.
func (k *Keys) Current() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return hex.EncodeToString(k.current[:])
}

// renew adds a KEK, makes it the current one and re-seals the files of the folder. The old KEK
// stays: backups made before are sealed under it.
func (k *Keys) renew() error {
	names, err := kekNames(k.dir)
	if err != nil {
		return err
	}
	last := 0
	for _, n := range names {
		fmt.Sscanf(n, "kek-%04d.key", &last)
	}
	if err := addKEK(k.dir, last+1); err != nil {
		return err
	}
	if err := k.load(); err != nil {
		return err
	}
	items, err := k.Files("")
	if err != nil {
		return err
	}
	for _, n := range items {
		v, err := k.File(n)
		if err != nil {
			return err
		}
		if err := k.PutFile(n, v); err != nil {
			return err
		}
	}
	return nil
}

// PutFile seals plain into a file of the key folder, durably and all or nothing.
func (k *Keys) PutFile(name string, plain []byte) error {
	if !itemName.MatchString(name) {
		return fmt.Errorf("secret: bad file name %q", name)
	}
	enc := base64.StdEncoding.EncodeToString(k.Seal("file:"+name, plain)) + "\n"
	return writeDurably(k.path(name), []byte(enc), true)
}

// File opens a file that PutFile made; fs.ErrNotExist if there is none.
func (k *Keys) File(name string) (Value, error) {
	raw, err := os.ReadFile(k.path(name))
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, ErrUnseal
	}
	return k.Unseal("file:"+name, sealed)
}

// Files lists the sealed files whose name begins with prefix, sorted.
func (k *Keys) Files(prefix string) ([]string, error) {
	list, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if n, ok := strings.CutSuffix(e.Name(), ".sealed"); ok && strings.HasPrefix(n, prefix) {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out, nil
}

func (k *Keys) path(name string) string { return filepath.Join(k.dir, name+".sealed") }

func kekNames(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if kekFile.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	sort.Strings(out)
	return out, nil
}

func kekID(key []byte) [idSize]byte {
	h := sha256.Sum256(append([]byte("fengsui kek id\x00"), key...))
	return [idSize]byte(h[:idSize])
}

// addKEK writes a new key as number n. Two processes that do so at once end up with the one key
// that was there first: the file is linked into place, and a link never replaces.
func addKEK(dir string, n int) error {
	line := kekHeader + base64.StdEncoding.EncodeToString(NewKey()) + "\n"
	err := writeDurably(filepath.Join(dir, fmt.Sprintf("kek-%04d.key", n)), []byte(line), false)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func readKEK(path string) ([]byte, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(string(raw), kekHeader)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(key) != KeySize {
		return nil, fault.Unavailable("secret.bad_key_file", "file", filepath.Base(path))
	}
	return key, nil
}

// private refuses a path that group or others may read.
func private(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fault.Unavailable("secret.loose_permissions", "file", filepath.Base(path))
	}
	return nil
}

// writeDurably writes a file of mode 0600 that is there in full or not at all, even after a power cut.
func writeDurably(path string, data []byte, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // CreateTemp gives mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
