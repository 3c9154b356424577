package record

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// leaf is what the tree hashes, as JSON in exactly this order. It holds ids, the action, the time
// and hashes; free text, prompts and names are kept out by its check.
type leaf struct {
	V          int      `json:"v"` // format of the leaf; 1
	Idx        int64    `json:"idx"`
	Epoch      int64    `json:"epoch"`
	AtMs       int64    `json:"at_ms"`
	Action     string   `json:"action"`
	ObjectKind string   `json:"kind"`
	ObjectID   string   `json:"id"`
	Actor      string   `json:"actor"`
	Roles      []string `json:"roles,omitempty"`
	Drill      string   `json:"drill,omitempty"`
	Scope      string   `json:"scope,omitempty"`
	Digest     string   `json:"digest,omitempty"` // SHA-256 of something kept elsewhere, such as a telemetry segment
	Commit     string   `json:"commit"`           // SHA-256(salt ‖ content)
	Sealed     string   `json:"sealed"`           // SHA-256 of the stored ciphertext
}

// ErrFreeText says that a part of an entry which goes into the leaf does not look like an id.
var ErrFreeText = errors.New("record: only ids may stand in a leaf: up to 160 printable ASCII characters without spaces, quotes, <, > and &")

var (
	actionForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)
	idForm     = regexp.MustCompile(`^[!#-%'-;=?-\[\]-~]{0,160}$`) // no space " & < > \
)

func (f *leaf) check() error {
	if !actionForm.MatchString(f.Action) || len(f.Action) > 80 {
		return fmt.Errorf("record: an action is a dotted verb, not %q", f.Action)
	}
	if f.Actor == "" {
		return errors.New("record: an entry needs an actor")
	}
	for _, s := range append([]string{f.ObjectKind, f.ObjectID, f.Actor, f.Drill, f.Scope}, f.Roles...) {
		if !idForm.MatchString(s) {
			return ErrFreeText
		}
	}
	return nil
}

func (f *leaf) encode() []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings and integers only: cannot fail
	}
	return b
}

// parseLeaf reads a leaf and refuses any text that encode would not have written.
func parseLeaf(raw []byte) (leaf, error) {
	var f leaf
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, err
	}
	if f.V != 1 {
		return f, fmt.Errorf("record: leaf format %d is not known", f.V)
	}
	if err := f.check(); err != nil {
		return f, err
	}
	if !bytes.Equal(f.encode(), raw) {
		return f, errors.New("record: leaf is not in canonical form")
	}
	for _, h := range []string{f.Commit, f.Sealed} {
		if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
			return f, errors.New("record: leaf without its hashes")
		}
	}
	return f, nil
}
