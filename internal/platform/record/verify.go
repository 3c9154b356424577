package record

import (
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/secret"
)

// VerifyOptions are what the verifier knows from elsewhere.
type VerifyOptions struct {
	Keys    *secret.Keys // to compare contents with commitments; nil: only the ciphertexts are checked
	Signer  string       // pinned fingerprint; empty: "consistent, signer unknown"
	Outside *Outside     // what was kept outside the data folder; nil if nothing was given
}

// verifier walks the entries once, in order, and rebuilds all that the record says about itself.
type verifier struct {
	rep *Report
	o   VerifyOptions

	edge  edge
	size  int64
	epoch int64

	statements map[string]*Statement // by fingerprint, from the record
	chain      []*Statement          // those whose entry was seen, in order
	known      map[int64]string      // what each epoch says it knew
	begun      []begun
	notes      []*claim // by size
	lost       []*claim

	live    map[string]int64   // payloads present, by scope
	missing map[string][]int64 // payloads absent, by scope, until an erasure explains them
	scopes  map[string]int64   // index of the last erasure, by scope
	holds   map[string]int     // legal holds in force, by scope

	strangers map[string]int64 // furthest outside checkpoint of other records, by origin
}

// claim is a checkpoint that somebody holds against the record.
type claim struct {
	*Checkpoint
	from source
}

type source int

const (
	stored  source = iota // in the record's own table
	outside               // kept outside
	named                 // named by an epoch as last known
)

type begun struct {
	Restore
	known []*Checkpoint
}

func newVerifier(o VerifyOptions) *verifier {
	return &verifier{rep: &Report{OutsideGiven: o.Outside != nil}, o: o, statements: map[string]*Statement{}, known: map[int64]string{},
		live: map[string]int64{}, missing: map[string][]int64{}, scopes: map[string]int64{}, holds: map[string]int{}, strangers: map[string]int64{}}
}

// addStatement, addEpoch and addCheckpoint give the parts that stand beside the entries; then start.
func (v *verifier) addStatement(fingerprint, text string) {
	s, err := parseStatement(text)
	if err != nil || s.Fingerprint != fingerprint {
		v.rep.problem("statement", "signer", fingerprint)
		return
	}
	v.statements[fingerprint] = s
}

func (v *verifier) addEpoch(epoch int64, known string) {
	v.known[epoch] = known
	for _, n := range splitNotes(known) {
		if c, err := ParseCheckpoint(n); err != nil {
			v.rep.problem("known", "epoch", epoch)
		} else {
			v.notes = append(v.notes, &claim{c, named})
		}
	}
}

func (v *verifier) addCheckpoint(epoch, size int64, signed string) {
	c, err := ParseCheckpoint(signed)
	if err != nil || c.Epoch != epoch || c.Size != size {
		v.rep.problem("checkpoint", "epoch", epoch, "size", size)
		return
	}
	v.notes = append(v.notes, &claim{c, stored})
}

func (v *verifier) start() {
	if v.o.Outside != nil {
		for _, n := range v.o.Outside.Checkpoints {
			if c, err := ParseCheckpoint(n); err != nil {
				v.rep.problem("outside_unreadable")
			} else {
				v.notes = append(v.notes, &claim{c, outside})
			}
		}
		if v.o.Outside.Unreadable > 0 {
			v.rep.notice("outside_unreadable", "count", v.o.Outside.Unreadable)
		}
	}
	slices.SortStableFunc(v.notes, func(a, b *claim) int { return int(min(max(a.Size-b.Size, -1), 1)) })
}

// entry takes the next leaf. It gives what the leaf says and the subtree roots that it completes.
// ok is false if the leaf cannot be read; it is hashed all the same.
func (v *verifier) entry(raw []byte) (f leaf, done []tlog.Hash, ok bool) {
	idx := v.size
	done = v.edge.add(idx, tlog.RecordHash(raw))
	v.size++
	f, err := parseLeaf(raw)
	if err != nil {
		v.rep.problem("leaf", "idx", idx)
		v.claims()
		return f, done, false
	}
	if f.Idx != idx {
		v.rep.problem("index", "idx", idx, "says", f.Idx)
	}
	v.enterEpoch(&f)
	switch f.Action {
	case actSigner:
		v.enterSigner(&f)
	case actErase:
		v.enterErasure(&f)
	case actHold, actRelease:
		scope, _, _ := strings.Cut(f.ObjectID, "#")
		if f.Action == actHold {
			v.holds[scope]++
		} else {
			v.holds[scope]--
		}
	}
	v.claims()
	return f, done, true
}

func (v *verifier) enterEpoch(f *leaf) {
	begins := f.Action == actEpoch
	switch {
	case v.epoch == 0 && !begins && f.Epoch == 1:
		v.epoch = 1
	case !begins && f.Epoch == v.epoch:
	case begins && f.Epoch > v.epoch && v.epoch > 0:
		known, ok := v.known[f.Epoch]
		if !ok || sha256Hex([]byte(known)) != f.ObjectID {
			v.rep.problem("known", "epoch", f.Epoch)
		}
		b := begun{Restore: Restore{Epoch: f.Epoch, Index: f.Idx, Reason: f.ObjectKind}}
		for _, n := range splitNotes(known) {
			c, err := ParseCheckpoint(n)
			if err != nil || c.Epoch >= f.Epoch {
				v.rep.problem("known", "epoch", f.Epoch)
				continue
			}
			b.known = append(b.known, c)
			// Those of epochs before were accounted for when that epoch ended.
			if c.Epoch >= v.epoch && c.Size > f.Idx && (b.Lost == nil || c.Size-1 > b.Lost.To) {
				b.Lost = &Range{f.Idx, c.Size - 1, c.Size - f.Idx}
			}
		}
		v.begun = append(v.begun, b)
		v.epoch = f.Epoch
	default:
		v.rep.problem("epoch", "idx", f.Idx, "says", f.Epoch, "epoch", v.epoch)
		v.epoch = max(v.epoch, f.Epoch)
	}
}

func (v *verifier) enterSigner(f *leaf) {
	s := v.statements[f.ObjectID]
	var prev *Statement
	if len(v.chain) > 0 {
		prev = v.chain[len(v.chain)-1]
	}
	if s == nil || !s.follows(prev) {
		v.rep.problem("signer_chain", "idx", f.Idx, "signer", f.ObjectID)
		return
	}
	v.chain = append(v.chain, s)
}

func (v *verifier) enterErasure(f *leaf) {
	scope := f.ObjectID
	if f.ObjectKind != kindReapplied && v.holds[scope] > 0 {
		v.rep.problem("erased_held", "idx", f.Idx, "scope", scope)
	}
	if n := v.live[scope]; n > 0 {
		v.rep.problem("survived", "idx", f.Idx, "scope", scope, "count", n)
	}
	v.rep.Erased += int64(len(v.missing[scope]))
	v.scopes[scope] = f.Idx
	delete(v.missing, scope)
	delete(v.live, scope)
}

// payload says whether the payload of an entry is there.
func (v *verifier) payload(f *leaf, present bool) {
	if present {
		v.live[f.Scope]++
	} else {
		v.missing[f.Scope] = append(v.missing[f.Scope], f.Idx)
	}
}

// claims checks the checkpoints of exactly the present size.
func (v *verifier) claims() {
	origin := originOf(v.chain)
	for len(v.notes) > 0 && v.notes[0].Size <= v.size {
		c := v.notes[0]
		v.notes = v.notes[1:]
		switch {
		case c.Origin != origin:
			v.foreign(c)
		case c.Epoch != v.epoch:
			v.lost = append(v.lost, c)
		case !v.signedBy(c, v.chain[len(v.chain)-1:]):
			v.rep.problem("signature", "epoch", c.Epoch, "size", c.Size)
		case c.Root != v.edge.root():
			v.rep.problem("rewritten", "epoch", c.Epoch, "size", c.Size)
		default:
			v.rep.Signed = max(v.rep.Signed, c.Size)
			if c.from == outside {
				v.rep.CoveredOutside = max(v.rep.CoveredOutside, c.Size)
			}
		}
	}
}

func (v *verifier) signedBy(c *claim, keys []*Statement) bool {
	_, _, err := openNote(c.Note, c.Origin, keys)
	return err == nil
}

// foreign deals with a checkpoint of another origin. One that was kept outside means that the whole record
// was replaced (or that two records share a folder, which they must not): once for each origin.
func (v *verifier) foreign(c *claim) {
	switch {
	case c.from != outside:
		v.rep.problem("origin", "epoch", c.Epoch, "size", c.Size)
	case len(v.chain) == 0:
		v.rep.problem("lost", "epoch", c.Epoch, "size", c.Size, "have", v.size)
	default:
		v.strangers[c.Origin] = max(v.strangers[c.Origin], c.Size)
	}
}

// finish settles what could not be settled on the way.
func (v *verifier) finish() *Report {
	v.lost = append(v.lost, v.notes...) // larger than the record
	v.notes = nil
	rep := v.rep
	rep.Origin, rep.Epoch, rep.Entries = originOf(v.chain), v.epoch, v.size
	rep.ErasedScopes = int64(len(v.scopes))
	if len(v.chain) > 0 {
		rep.Signer = v.chain[len(v.chain)-1].Fingerprint
	} else if v.size > 0 {
		rep.problem("no_signer")
	}
	if len(v.statements) > len(v.chain) {
		rep.problem("signer_extra")
	}
	if len(v.known) > len(v.begun) {
		rep.problem("epoch_extra")
	}
	if v.o.Signer != "" {
		pin, err := NormalFingerprint(v.o.Signer)
		rep.Pinned = err == nil && slices.ContainsFunc(v.chain, func(s *Statement) bool { return s.Fingerprint == pin })
		if !rep.Pinned {
			rep.problem("pinned", "signer", rep.Signer)
		}
	}
	for scope, gone := range v.missing {
		for _, idx := range gone {
			rep.problem("payload_missing", "idx", idx, "scope", scope)
		}
	}
	v.settleLost()
	for origin, size := range v.strangers {
		rep.problem("foreign", "origin", origin, "size", size, "ours", rep.Origin)
	}
	for _, b := range v.begun {
		rep.Restores = append(rep.Restores, b.Restore)
	}
	rep.conclude(v.edge.root())
	return rep
}

// settleLost judges checkpoints of entries that are not here: an epoch that names one at least as far, in
// an entry that is itself under a signature, explains it; else the record was cut or set back.
func (v *verifier) settleLost() {
	keys := v.chain
	if v.o.Outside != nil {
		keys = extend(keys, v.o.Outside.Signers)
	}
	origin := originOf(v.chain)
	for _, c := range v.lost {
		switch {
		case c.Origin != origin:
			v.foreign(c)
		case !v.signedBy(c, keys):
			v.rep.problem("signature", "epoch", c.Epoch, "size", c.Size)
		case c.from == stored:
			v.rep.problem("checkpoint", "epoch", c.Epoch, "size", c.Size)
		case c.from == named: // that it is not here is what its epoch says
		case !v.explained(c):
			v.rep.problem("lost", "epoch", c.Epoch, "size", c.Size, "have", v.size)
		}
	}
}

func (v *verifier) explained(c *claim) bool {
	for _, b := range v.begun {
		if b.Index >= v.rep.Signed || b.Epoch <= c.Epoch {
			continue
		}
		for _, k := range b.known {
			if k.Epoch == c.Epoch && k.Size >= c.Size {
				return true
			}
		}
	}
	return false
}

// extend adds to a chain of signers those of more that it vouches for, one after the other.
func extend(chain, more []*Statement) []*Statement {
	if len(chain) == 0 {
		return nil
	}
	out := slices.Clone(chain)
	for {
		last := out[len(out)-1]
		i := slices.IndexFunc(more, func(s *Statement) bool {
			if s == nil || slices.ContainsFunc(out, func(o *Statement) bool { return o.Fingerprint == s.Fingerprint }) {
				return false
			}
			checked, err := parseStatement(s.encode())
			return err == nil && checked.follows(last)
		})
		if i < 0 {
			return out
		}
		out = append(out, more[i])
	}
}

// splitNotes takes apart notes that were written one after the other.
func splitNotes(s string) []string {
	var out []string
	for s != "" {
		sig := strings.Index(s, "\n— ")
		if sig < 0 {
			return append(out, s)
		}
		end := strings.IndexByte(s[sig+1:], '\n')
		if end < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:sig+1+end+1]), s[sig+1+end+1:]
	}
	return out
}
