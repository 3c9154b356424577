package record

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/uptrace/bun"
	"golang.org/x/mod/sumdb/note"

	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const actSigner = "record.signer"

// Statement introduces a signing key: the key vouches for itself and, unless it is the first, the key
// before it vouches for it. It holds no secret. Kept as the text of its JSON.
type Statement struct {
	Fingerprint string `json:"fingerprint"`        // hex SHA-256 of the public key
	PublicKey   []byte `json:"public_key"`         // ed25519
	Previous    string `json:"previous,omitempty"` // fingerprint of the key before; empty for the first
	ByPrevious  []byte `json:"by_previous,omitempty"`
	ByItself    []byte `json:"by_itself"`
}

func (s *Statement) message() []byte {
	return []byte("fengsui record signer v1\n" + s.Previous + "\n" + s.Fingerprint + "\n")
}

func (s *Statement) encode() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and bytes only
	}
	return string(b)
}

func parseStatement(text string) (*Statement, error) {
	var s Statement
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, err
	}
	if s.encode() != text {
		return nil, errors.New("record: statement is not in canonical form")
	}
	if len(s.PublicKey) != ed25519.PublicKeySize || sha256Hex(s.PublicKey) != s.Fingerprint || !ed25519.Verify(s.PublicKey, s.message(), s.ByItself) {
		return nil, errors.New("record: statement does not vouch for its key")
	}
	return &s, nil
}

// follows reports whether prev vouches for s; a first key (prev nil) names none before it.
func (s *Statement) follows(prev *Statement) bool {
	if prev == nil {
		return s.Previous == "" && len(s.ByPrevious) == 0
	}
	return s.Previous == prev.Fingerprint && ed25519.Verify(prev.PublicKey, s.message(), s.ByPrevious)
}

// signer is a private key with its statement, sealed in the key folder and never in a backup. A key
// that was replaced keeps its statement there and loses its seed.
type signer struct {
	Seed      []byte     `json:"seed,omitempty"`
	Statement *Statement `json:"statement"`
}

func newSigner(prev *signer) *signer {
	seed := secret.Random(ed25519.SeedSize)
	priv := ed25519.NewKeyFromSeed(seed)
	pub := []byte(priv.Public().(ed25519.PublicKey))
	s := &signer{seed, &Statement{Fingerprint: sha256Hex(pub), PublicKey: pub}}
	if prev != nil {
		s.Statement.Previous = prev.Statement.Fingerprint
		s.Statement.ByPrevious = ed25519.Sign(prev.private(), s.Statement.message())
	}
	s.Statement.ByItself = ed25519.Sign(priv, s.Statement.message())
	return s
}

func (s *signer) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.Seed) }

const signerPrefix = "record-signer-"

func signerFile(fingerprint string) string { return signerPrefix + fingerprint[:16] }

func (l *Log) saveSigner(s *signer) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return l.o.Keys.PutFile(signerFile(s.Statement.Fingerprint), b)
}

// loadSigner reads a signing key from the key folder; nil if it is not there.
func (l *Log) loadSigner(fingerprint string) (*signer, error) {
	if len(fingerprint) < 16 {
		return nil, fmt.Errorf("record: bad fingerprint %q", fingerprint)
	}
	return l.loadSignerFile(signerFile(fingerprint))
}

func (l *Log) loadSignerFile(name string) (*signer, error) {
	raw, err := l.o.Keys.File(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s signer
	if err := json.Unmarshal(raw, &s); err != nil || s.Statement == nil {
		return nil, errors.Join(err, fmt.Errorf("record: signing key file %s is damaged", name))
	}
	return &s, nil
}

// chainOf lists the statements of all signers, in the order in which the record took them.
func chainOf(ctx context.Context, db bun.IDB) ([]*Statement, error) {
	var texts []string
	err := db.NewRaw(`SELECT s.statement FROM record_entries AS e JOIN record_signers AS s ON s.fingerprint = e.object_id
		WHERE e.action = ? ORDER BY e.idx`, actSigner).Scan(ctx, &texts)
	if err != nil {
		return nil, err
	}
	out := make([]*Statement, 0, len(texts))
	for _, t := range texts {
		s, err := parseStatement(t)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Signer is the fingerprint of the key that signs now: the one to pin outside. Empty before Bind.
func (l *Log) Signer(ctx context.Context, db bun.IDB) (string, error) {
	chain, err := chainOf(ctx, db)
	if err != nil || len(chain) == 0 {
		return "", err
	}
	return chain[len(chain)-1].Fingerprint, nil
}

// Origin names the record, and with it the instance, for good: it is derived from the first signer.
func (l *Log) Origin(ctx context.Context, db bun.IDB) (string, error) {
	chain, err := chainOf(ctx, db)
	if err != nil {
		return "", err
	}
	return originOf(chain), nil
}

// Bind joins the log to its open store and makes sure that there is a signing key.
func (l *Log) Bind(ctx context.Context, st *store.Store) error {
	l.st = st
	if l.o.Keys == nil {
		return nil
	}
	chain, err := chainOf(ctx, st.Read())
	if err != nil {
		return err
	}
	if len(chain) > 0 {
		return l.forget(chain)
	}
	first := newSigner(nil)
	if err := l.saveSigner(first); err != nil {
		return err
	}
	return st.Write(ctx, store.System("record"), func(tx *store.Tx) error {
		if have, err := chainOf(ctx, tx); err != nil || len(have) > 0 {
			return err // another process was first; its key counts
		}
		return admit(ctx, tx, first.Statement)
	})
}

// forget wipes the seeds of keys that the record has replaced.
func (l *Log) forget(chain []*Statement) error {
	for _, st := range chain[:len(chain)-1] {
		s, err := l.loadSigner(st.Fingerprint)
		if err != nil {
			return err
		}
		if s == nil || s.Seed == nil {
			continue
		}
		s.Seed = nil
		if err := l.saveSigner(s); err != nil {
			return err
		}
	}
	return nil
}

// admit writes a signer's statement and its entry.
func admit(ctx context.Context, tx *store.Tx, s *Statement) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_signers (fingerprint, statement) VALUES (?, ?)`, s.Fingerprint, s.encode()); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: actSigner, ObjectKind: "signer", ObjectID: s.Fingerprint, Content: own{body: s}})
	return nil
}

// RotateSigner replaces the signing key. The entry is vouched for by the old and the new key, so that
// whoever pinned the old fingerprint can follow. The old key's seed is wiped afterwards.
func (l *Log) RotateSigner(ctx context.Context, actor store.Actor) (fingerprint string, err error) {
	chain, err := chainOf(ctx, l.st.Read())
	if err != nil {
		return "", err
	}
	old, err := l.current(chain)
	if err != nil {
		return "", err
	}
	// The entries so far are signed by the old key once more, while it can.
	if _, err := l.Checkpoint(ctx); err != nil {
		return "", err
	}
	next := newSigner(old)
	if err := l.saveSigner(next); err != nil { // before the entry: an entry without its key could never sign
		return "", err
	}
	err = l.st.Write(ctx, actor, func(tx *store.Tx) error {
		now, err := chainOf(ctx, tx)
		if err != nil {
			return err
		}
		if now[len(now)-1].Fingerprint != next.Statement.Previous {
			return errors.New("record: the signing key was rotated meanwhile")
		}
		return admit(ctx, tx, next.Statement)
	})
	if err != nil {
		return "", err
	}
	if err := l.forget(append(chain, next.Statement)); err != nil {
		return "", err
	}
	_, err = l.Checkpoint(ctx)
	return next.Statement.Fingerprint, err
}

// ErrNoSigner says that the key folder does not hold the private key that signs this record.
var ErrNoSigner = errors.New("record: the key folder does not hold the signing key of this record")

func (l *Log) current(chain []*Statement) (*signer, error) {
	if len(chain) == 0 {
		return nil, ErrNoSigner
	}
	s, err := l.loadSigner(chain[len(chain)-1].Fingerprint)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Seed == nil {
		return nil, ErrNoSigner
	}
	return s, nil
}

// origin names this record in every note; it is derived from its first signer.
func originOf(chain []*Statement) string {
	if len(chain) == 0 {
		return ""
	}
	return "fengsui/" + chain[0].Fingerprint[:16]
}

// noteSigner signs notes as a key of this record (golang.org/x/mod/sumdb/note).
type noteSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func signNote(s *signer, origin, text string) (string, error) {
	v, err := noteVerifier(origin, s.Statement.PublicKey)
	if err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: text}, noteSigner{v, s.private()})
	return string(signed), err
}

func noteVerifier(origin string, pub []byte) (note.Verifier, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(pub))
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// openNote checks a note that exactly one of the keys signed, in its one canonical spelling, and gives
// its text and that key. err is errUnknownSigner if none of the keys is named in it.
func openNote(signed, origin string, keys []*Statement) (text string, by *Statement, err error) {
	for _, k := range keys {
		v, err := noteVerifier(origin, k.PublicKey)
		if err != nil {
			return "", nil, err
		}
		n, err := note.Open([]byte(signed), note.VerifierList(v))
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
		if err != nil || n.Text+"\n— "+origin+" "+base64.StdEncoding.EncodeToString(raw)+"\n" != signed {
			return "", nil, errors.New("record: note is not in canonical form")
		}
		return n.Text, k, nil
	}
	return "", nil, errUnknownSigner
}

var errUnknownSigner = errors.New("record: signed by no known key")

// NormalFingerprint brings a fingerprint that a person typed or pasted into the stored form.
func NormalFingerprint(s string) (string, error) {
	s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimSpace(s)))
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return "", errors.New("record: a signer fingerprint is 64 hexadecimal digits")
	}
	return s, nil
}

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
