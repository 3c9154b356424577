package record

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"

	"github.com/uptrace/bun"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/secret"
)

const verifyBatch = 2000

// Verify checks the whole record in a database, on one snapshot, while others may write. Everything that
// is wrong is in the report; an error means that the database could not be read.
func Verify(ctx context.Context, db bun.IDB, o VerifyOptions) (*Report, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	s := &storeVerifier{verifier: newVerifier(o), db: tx, boxes: map[string]*secret.Box{}, since: map[string]int64{}}
	if err := s.beside(ctx); err != nil {
		return nil, err
	}
	s.start()
	if err := s.entries(ctx); err != nil {
		return nil, err
	}
	if err := s.totals(ctx); err != nil {
		return nil, err
	}
	return s.finish(), nil
}

type storeVerifier struct {
	*verifier
	db       bun.Tx
	boxes    map[string]*secret.Box // nil for a scope without a key that opens
	since    map[string]int64       // the size of the record when the scope's key was made
	payloads int64
}

// beside reads what stands beside the entries.
func (s *storeVerifier) beside(ctx context.Context) error {
	if err := s.eachBeside(ctx, s.addStatement, s.addEpoch, s.addCheckpoint); err != nil {
		return err
	}
	return s.keyring(ctx)
}

func (s *storeVerifier) eachBeside(ctx context.Context, signer func(fingerprint, text string), epoch func(n int64, known string), note func(epoch, size int64, text string)) error {
	var signers []struct{ Fingerprint, Statement string }
	if err := s.db.NewRaw(`SELECT fingerprint, statement FROM record_signers ORDER BY fingerprint`).Scan(ctx, &signers); err != nil {
		return err
	}
	for _, r := range signers {
		signer(r.Fingerprint, r.Statement)
	}
	var epochs []struct {
		Epoch int64
		Known string
	}
	if err := s.db.NewRaw(`SELECT epoch, known FROM record_epochs ORDER BY epoch`).Scan(ctx, &epochs); err != nil {
		return err
	}
	for _, r := range epochs {
		epoch(r.Epoch, r.Known)
	}
	var notes []struct {
		Epoch, Size int64
		Note        string
	}
	if err := s.db.NewRaw(`SELECT epoch, size, note FROM record_checkpoints ORDER BY epoch, size`).Scan(ctx, &notes); err != nil {
		return err
	}
	for _, r := range notes {
		note(r.Epoch, r.Size, r.Note)
	}
	return nil
}

func (s *storeVerifier) keyring(ctx context.Context) error {
	var keys []struct {
		Scope   string
		Since   int64
		Wrapped []byte
	}
	if err := s.db.NewRaw(`SELECT scope, since, wrapped FROM record_keys`).Scan(ctx, &keys); err != nil {
		return err
	}
	for _, r := range keys {
		s.boxes[r.Scope], s.since[r.Scope] = nil, r.Since
		if s.o.Keys == nil {
			continue
		}
		key, err := s.o.Keys.Unseal(keyLabel(r.Scope, r.Since), r.Wrapped)
		if err == nil {
			var box secret.Box
			if box, err = secret.NewBox(key); err == nil {
				s.boxes[r.Scope] = &box
			}
		}
		if err != nil {
			s.rep.problem("key", "scope", r.Scope)
		}
	}
	return nil
}

type entryRow struct {
	Idx        int64
	Leaf       string
	AtMs       int64
	Action     string
	ObjectKind string
	ObjectID   string
	Actor      string
	Scope      string
	Sealed     []byte
}

func (s *storeVerifier) entries(ctx context.Context) error {
	var want []storedHash
	for after := int64(-1); ; {
		rows, err := s.db.QueryContext(ctx, `SELECT e.idx, e.leaf, e.at_ms, e.action, e.object_kind, e.object_id, e.actor, e.scope, p.sealed
			FROM record_entries AS e LEFT JOIN record_payloads AS p ON p.idx = e.idx WHERE e.idx > ? ORDER BY e.idx LIMIT ?`, after, verifyBatch)
		if err != nil {
			return err
		}
		n := 0
		want = want[:0]
		for ; rows.Next(); n++ {
			var r entryRow
			if err := rows.Scan(&r.Idx, &r.Leaf, &r.AtMs, &r.Action, &r.ObjectKind, &r.ObjectID, &r.Actor, &r.Scope, &r.Sealed); err != nil {
				rows.Close()
				return err
			}
			after = r.Idx
			want = s.one(&r, want)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if err := s.hashes(ctx, want); err != nil {
			return err
		}
	}
}

func (s *storeVerifier) one(r *entryRow, want []storedHash) []storedHash {
	at := s.size
	f, done, ok := s.entry([]byte(r.Leaf))
	for level, h := range done {
		want = append(want, storedHash{Pos: tlog.StoredHashIndex(level, at>>level), Hash: bytes.Clone(h[:])})
	}
	if !ok {
		return want
	}
	if r.Idx != f.Idx || r.AtMs != f.AtMs || r.Action != f.Action || r.ObjectKind != f.ObjectKind || r.ObjectID != f.ObjectID || r.Actor != f.Actor || r.Scope != f.Scope {
		s.rep.problem("columns", "idx", at)
	}
	s.payload(&f, r.Sealed != nil)
	if r.Sealed == nil {
		return want
	}
	s.payloads++
	if h := sha256.Sum256(r.Sealed); hex.EncodeToString(h[:]) != f.Sealed {
		s.rep.problem("ciphertext", "idx", at)
		return want
	}
	box, there := s.boxes[f.Scope]
	switch {
	case !there:
		s.rep.problem("key", "scope", f.Scope)
	case s.o.Keys == nil || box == nil:
		s.rep.Unopened++
	default:
		plain, err := box.Unseal(payloadLabel(f.Idx, f.Scope), r.Sealed)
		if err != nil || len(plain) < saltSize || commitment(plain[:saltSize], plain[saltSize:]) != f.Commit {
			s.rep.problem("commitment", "idx", at)
		}
	}
	return want
}

// hashes compares the stored subtree hashes of one batch; positions follow each other without a gap.
func (s *storeVerifier) hashes(ctx context.Context, want []storedHash) error {
	rows, err := s.db.QueryContext(ctx, `SELECT pos, hash FROM record_hashes WHERE pos >= ? AND pos <= ? ORDER BY pos`, want[0].Pos, want[len(want)-1].Pos)
	if err != nil {
		return err
	}
	defer rows.Close()
	i := 0
	for rows.Next() {
		var pos int64
		var hash []byte
		if err := rows.Scan(&pos, &hash); err != nil {
			return err
		}
		for ; i < len(want) && want[i].Pos < pos; i++ {
			s.rep.problem("hash", "pos", want[i].Pos)
		}
		if i < len(want) && want[i].Pos == pos {
			if !bytes.Equal(want[i].Hash, hash) {
				s.rep.problem("hash", "pos", pos)
			}
			i++
		}
	}
	for ; i < len(want); i++ {
		s.rep.problem("hash", "pos", want[i].Pos)
	}
	return rows.Err()
}

// totals compares the head and looks for rows that belong to nothing.
func (s *storeVerifier) totals(ctx context.Context) error {
	var heads []struct {
		ID, Epoch, Size int64
		Edge            []byte
	}
	if err := s.db.NewRaw(`SELECT id, epoch, size, edge FROM record_head`).Scan(ctx, &heads); err != nil {
		return err
	}
	if len(heads) != 1 || heads[0].ID != 1 || heads[0].Size != s.size || heads[0].Epoch != max(s.epoch, 1) || !bytes.Equal(heads[0].Edge, s.edge.bytes()) {
		s.rep.problem("head")
	}
	for _, t := range []struct {
		table string
		want  int64
	}{{"record_hashes", tlog.StoredHashCount(s.size)}, {"record_payloads", s.payloads}} {
		var n int64
		if err := s.db.NewRaw(`SELECT COUNT(*) FROM ?`, bun.Ident(t.table)).Scan(ctx, &n); err != nil {
			return err
		}
		if n != t.want {
			s.rep.problem("extra_rows", "table", t.table, "count", n, "want", t.want)
		}
	}
	for scope, since := range s.since {
		if erased, ok := s.scopes[scope]; ok && since <= erased {
			s.rep.problem("key_survived", "scope", scope)
		}
	}
	return nil
}
