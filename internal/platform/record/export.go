package record

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

const exportFormat = 1

// exportLine is one line of an export: a header, then signers, epochs, checkpoints and leaves, each with
// one of the groups of fields set, then the SHA-256 of all lines before.
type exportLine struct {
	Format   int    `json:"fengsui_record_export,omitempty"` // header: 1
	Contents bool   `json:"contents,omitempty"`              // header: contents are in the file
	Epoch    int64  `json:"epoch,omitempty"`                 // header, epoch, checkpoint
	Size     int64  `json:"size,omitempty"`                  // header, checkpoint
	Root     string `json:"root,omitempty"`                  // header

	Signer     string  `json:"signer,omitempty"`    // fingerprint
	Statement  string  `json:"statement,omitempty"` // with signer
	Known      *string `json:"known,omitempty"`     // with epoch
	Checkpoint string  `json:"checkpoint,omitempty"`

	Leaf    string `json:"leaf,omitempty"`
	Erased  bool   `json:"erased,omitempty"`
	Salt    string `json:"salt,omitempty"`    // hex; only in a file with contents
	Content string `json:"content,omitempty"` // JSON; only in a file with contents

	SHA256 string `json:"sha256,omitempty"` // the last line
}

// exportWriter writes lines and hashes them.
type exportWriter struct {
	w   *bufio.Writer
	sum hash.Hash
}

func (e *exportWriter) line(l exportLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	e.sum.Write(b)
	_, err = e.w.Write(b)
	return err
}

// Export writes the record as one self-contained file of JSON lines that VerifyFile checks without this
// system: leaves, commitments, checkpoints and public keys. Contents go in, with their salts, only if
// withContents is set; the caller has asked for permission. The file is one snapshot.
func (l *Log) Export(ctx context.Context, db bun.IDB, w io.Writer, withContents bool) error {
	if withContents && l.o.Keys == nil {
		return fault.Unavailable("record.no_keys")
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	out := &exportWriter{bufio.NewWriterSize(w, 1<<16), sha256.New()}
	h, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	if err := out.line(exportLine{Format: exportFormat, Contents: withContents, Epoch: h.epoch, Size: h.size, Root: h.edge.root().String()}); err != nil {
		return err
	}
	if err := exportBeside(ctx, tx, out); err != nil {
		return err
	}
	for from := int64(0); from < h.size; from += verifyBatch {
		if err := l.exportLeaves(ctx, tx, out, from, withContents); err != nil {
			return err
		}
	}
	if err := out.line(exportLine{SHA256: hex.EncodeToString(out.sum.Sum(nil))}); err != nil {
		return err
	}
	return out.w.Flush()
}

func exportBeside(ctx context.Context, tx bun.Tx, out *exportWriter) error {
	s := &storeVerifier{db: tx}
	var lines []exportLine
	err := s.eachBeside(ctx,
		func(fingerprint, text string) {
			lines = append(lines, exportLine{Signer: fingerprint, Statement: text})
		},
		func(epoch int64, known string) { lines = append(lines, exportLine{Epoch: epoch, Known: &known}) },
		func(epoch, size int64, n string) {
			lines = append(lines, exportLine{Epoch: epoch, Size: size, Checkpoint: n})
		})
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := out.line(l); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) exportLeaves(ctx context.Context, tx bun.Tx, out *exportWriter, from int64, withContents bool) error {
	var rows []struct {
		Idx    int64
		Leaf   string
		Erased int
	}
	err := tx.NewRaw(`SELECT e.idx, e.leaf, CASE WHEN p.idx IS NULL THEN 1 ELSE 0 END AS erased FROM record_entries AS e
		LEFT JOIN record_payloads AS p ON p.idx = e.idx WHERE e.idx >= ? AND e.idx < ? ORDER BY e.idx`, from, from+verifyBatch).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, r := range rows {
		line := exportLine{Leaf: r.Leaf, Erased: r.Erased == 1}
		if withContents && !line.Erased {
			salt, content, err := l.openPayload(ctx, tx, r.Idx)
			if err != nil {
				return err
			}
			line.Salt, line.Content = hex.EncodeToString(salt), string(content)
		}
		if err := out.line(line); err != nil {
			return err
		}
	}
	return nil
}

// VerifyFile checks an export. Everything that is wrong is in the report; an error means that the file
// could not be read.
func VerifyFile(ctx context.Context, r io.Reader, o VerifyOptions) (*Report, error) {
	f := &fileVerifier{verifier: newVerifier(o), sum: sha256.New()}
	br := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := br.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if text == "" {
			break
		}
		if !f.line(text) {
			f.rep.problem("file_line", "line", n)
			break
		}
	}
	if !f.ended {
		f.rep.problem("file_cut")
	}
	if !f.started {
		f.start()
	}
	if f.header.Size != f.size || f.header.Root != f.edge.root().String() || f.header.Epoch != max(f.epoch, 1) {
		f.rep.problem("head")
	}
	return f.finish(), nil
}

type fileVerifier struct {
	*verifier
	sum            hash.Hash
	header         exportLine
	began          bool // the header was read
	started, ended bool // the first leaf, the last line was read
}

// line takes one line; false if it is not one that Export writes in this place.
func (f *fileVerifier) line(text string) bool {
	var l exportLine
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if f.ended || dec.Decode(&l) != nil {
		return false
	}
	if b, err := json.Marshal(l); err != nil || string(b)+"\n" != text {
		return false // another spelling of the same is a change too
	}
	sum := hex.EncodeToString(f.sum.Sum(nil))
	f.sum.Write([]byte(text))
	switch {
	case !f.began:
		f.began, f.header = true, l
		return l == exportLine{Format: exportFormat, Contents: l.Contents, Epoch: l.Epoch, Size: l.Size, Root: l.Root}
	case l.SHA256 != "":
		f.ended = true
		return l == exportLine{SHA256: sum}
	case l.Leaf != "":
		return f.leafLine(l)
	case f.started:
		return false
	case l.Signer != "":
		f.addStatement(l.Signer, l.Statement)
		return l == exportLine{Signer: l.Signer, Statement: l.Statement}
	case l.Known != nil:
		f.addEpoch(l.Epoch, *l.Known)
		return l == exportLine{Epoch: l.Epoch, Known: l.Known}
	case l.Checkpoint != "":
		f.addCheckpoint(l.Epoch, l.Size, l.Checkpoint)
		return l == exportLine{Epoch: l.Epoch, Size: l.Size, Checkpoint: l.Checkpoint}
	}
	return false
}

func (f *fileVerifier) leafLine(l exportLine) bool {
	if !f.started {
		f.started = true
		f.start()
	}
	idx := f.size
	e, _, ok := f.entry([]byte(l.Leaf))
	if !ok {
		return true // reported by entry
	}
	f.payload(&e, !l.Erased)
	if f.header.Contents && !l.Erased {
		salt, err := hex.DecodeString(l.Salt)
		if err != nil || len(salt) != saltSize || commitment(salt, []byte(l.Content)) != e.Commit {
			f.rep.problem("commitment", "idx", idx)
		}
	} else if !l.Erased {
		f.rep.Unopened++
	}
	return l == exportLine{Leaf: l.Leaf, Erased: l.Erased, Salt: l.Salt, Content: l.Content} &&
		(f.header.Contents && !l.Erased || l.Salt == "" && l.Content == "")
}
