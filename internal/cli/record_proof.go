package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
)

// RecordProofCmd is `fengsui record proof SEQ`. With --json it prints the proof itself, which --file checks elsewhere, without
// the data folder. It discloses no content.
type RecordProofCmd struct {
	folders
	speech
	Seq    int64  `arg:"" optional:"" help:"Number of the entry, from 1, as the console and the API show it."`
	File   string `placeholder:"FILE" help:"Check this proof, which --json printed, instead of making one."`
	Signer string `placeholder:"FINGERPRINT" help:"Fingerprint of a signing key that you noted elsewhere (fengsui record signer)."`
}

// Run prints the proof and what it is worth; the error is ErrNotVerified if it does not hold.
func (c *RecordProofCmd) Run(ctx context.Context, out io.Writer) error {
	p, err := c.proof(ctx)
	if err != nil {
		return c.explain(err)
	}
	verdict, signer := record.VerdictOK, c.Signer
	if signer == "" && len(p.Signers) > 0 && p.Signers[0] != nil { // its own word for it, which proves consistency only
		verdict, signer = record.VerdictUnknownSigner, p.Signers[0].Fingerprint
	}
	cp, wrong := p.Check(signer)
	if wrong != nil {
		verdict = record.VerdictBroken
	}
	if err := c.say(out, p, func(say func(string, ...any)) {
		say(verdict)
		say("record.proof.entry", "seq", p.Idx+1, "leaf", tlog.RecordHash([]byte(p.Leaf)).String())
		if wrong != nil {
			say("record.proof.wrong", "why", wrong.Error())
			return
		}
		say("record.proof.covered", "entries", cp.Size, "root", cp.Root.String(), "steps", len(p.Hashes))
		say("record.report.signer", "signer", p.Signers[len(p.Signers)-1].Fingerprint)
	}); err != nil {
		return err
	}
	if wrong != nil {
		return ErrNotVerified
	}
	return nil
}

func (c *RecordProofCmd) proof(ctx context.Context) (*record.Proof, error) {
	if c.Signer != "" {
		if _, err := record.NormalFingerprint(c.Signer); err != nil {
			return nil, fault.Invalid("signer", "record.bad_fingerprint").Because(err)
		}
	}
	if c.File != "" {
		raw, err := os.ReadFile(c.File)
		if err != nil {
			return nil, err
		}
		p := &record.Proof{}
		if err := json.Unmarshal(raw, p); err != nil {
			return nil, fault.Invalid("file", "error.not_json", "field", "file").Because(err)
		}
		return p, nil
	}
	if c.Seq < 1 {
		return nil, fault.Invalid("seq", "record.proof.seq")
	}
	db, err := c.reader(ctx)
	if err != nil {
		return nil, err
	}
	p, err := record.New(record.Options{}).Proof(ctx, db, c.Seq-1, false)
	if fault.Is(err, "record.no_entry") { // the number that people know, not the index
		err = fault.NotFound("seq", "record.no_entry", "idx", c.Seq)
	}
	return p, errors.Join(err, db.Close())
}
