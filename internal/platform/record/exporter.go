package record

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Dispatch is what leaves the data folder. It holds signed texts and ids, no content.
type Dispatch struct {
	Checkpoint string       // signed note
	Signers    []*Statement // every public key so far, oldest first
	Erasures   []string     // signed notes, one for each erasure so far: a restored backup must repeat them
}

// Exporter takes a dispatch to a place that whoever alters the data folder cannot reach. The same
// dispatch may come more than once.
type Exporter interface {
	Export(ctx context.Context, d Dispatch) error
}

// OutsideFile is the name of the file that FileExporter writes.
const OutsideFile = "record.jsonl"

// DefaultOutside is the checkpoint folder that belongs to a data folder if none is configured. It lies
// beside the data only so that a newcomer has one; it should be on another machine's disk.
func DefaultOutside(dataDir string) string { return filepath.Clean(dataDir) + "-checkpoints" }

// FileExporter appends to one file in a folder outside the data folder, one JSON object a line, and
// syncs it. Mount that folder from elsewhere, append-only if the other side can.
type FileExporter struct {
	path string
	mu   sync.Mutex
	have map[string]bool // what the file holds, as read when it was size bytes long
	size int64
}

// NewFileExporter makes the folder. Error: fault invalid record.outside_inside if dir is in dataDir.
func NewFileExporter(dir, dataDir string) (*FileExporter, error) {
	a, err1 := filepath.Abs(dir)
	b, err2 := filepath.Abs(dataDir)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(b, a); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return nil, fault.Invalid("checkpoints", "record.outside_inside")
	}
	if err := os.MkdirAll(a, 0o700); err != nil {
		return nil, err
	}
	return &FileExporter{path: filepath.Join(a, OutsideFile)}, nil
}

// outsideLine is one line of the outside file; exactly one field is set.
type outsideLine struct {
	Checkpoint string     `json:"checkpoint,omitempty"`
	Signer     *Statement `json:"signer,omitempty"`
	Erasure    string     `json:"erasure,omitempty"`
}

func (l outsideLine) key() string {
	if l.Signer != nil {
		return "signer " + l.Signer.Fingerprint
	}
	text, _, _ := strings.Cut(l.Checkpoint+l.Erasure, "\n\n") // whichever key signed it, it is the same
	return text
}

// Export appends what the file does not have yet.
func (e *FileExporter) Export(ctx context.Context, d Dispatch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.OpenFile(e.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	torn, err := e.read(f)
	if err != nil {
		return err
	}
	var out strings.Builder
	if torn {
		out.WriteByte('\n') // a crash cut the last line short: leave it, and begin a new one
	}
	put := func(l outsideLine) {
		if !e.have[l.key()] {
			b, _ := json.Marshal(l) // strings and bytes only
			out.Write(append(b, '\n'))
		}
	}
	for _, s := range d.Signers {
		put(outsideLine{Signer: s})
	}
	for _, n := range d.Erasures {
		put(outsideLine{Erasure: n})
	}
	put(outsideLine{Checkpoint: d.Checkpoint})
	if _, err := io.WriteString(f, out.String()); err != nil {
		return err
	}
	return errors.Join(f.Sync(), syncDir(filepath.Dir(e.path)))
}

// read learns what the file holds, if it changed since. torn says that its last line has no end.
func (e *FileExporter) read(f *os.File) (torn bool, err error) {
	st, err := f.Stat()
	if err != nil || e.have != nil && st.Size() == e.size {
		return false, err
	}
	e.have, e.size = map[string]bool{}, st.Size()
	err = eachLine(f, func(text string, whole bool) {
		torn = !whole
		var l outsideLine
		if whole && json.Unmarshal([]byte(text), &l) == nil {
			e.have[l.key()] = true
		}
	})
	if torn {
		e.size = -1 // read again next time, in full
	}
	return torn, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// eachLine calls fn with every line; whole is false for a last line without its newline.
func eachLine(r io.Reader, fn func(text string, whole bool)) error {
	br := bufio.NewReader(r)
	for {
		text, err := br.ReadString('\n')
		if text != "" {
			fn(strings.TrimSuffix(text, "\n"), err == nil)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Outside is what was kept outside the data folder.
type Outside struct {
	Checkpoints []string     // signed notes
	Signers     []*Statement // unchecked
	Erasures    []string     // signed notes
	Unreadable  int          // lines and files that are none of these, such as a line cut short by a crash
}

// ReadOutside reads every file of a folder: *.jsonl as FileExporter writes them, and any other file
// (*.note, *.txt) as one signed checkpoint, for instance saved from a mail.
func ReadOutside(dir string) (*Outside, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	o := &Outside{}
	for _, e := range list {
		if e.IsDir() {
			continue
		}
		if err := o.readFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *Outside) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if filepath.Ext(path) != ".jsonl" {
		raw, err := io.ReadAll(io.LimitReader(f, 1<<16))
		if err != nil {
			return err
		}
		if _, err := ParseCheckpoint(string(raw)); err != nil {
			o.Unreadable++
			return nil
		}
		o.Checkpoints = append(o.Checkpoints, string(raw))
		return nil
	}
	return eachLine(f, func(text string, _ bool) {
		var l outsideLine
		switch err := json.Unmarshal([]byte(text), &l); {
		case text == "":
		case err != nil:
			o.Unreadable++
		case l.Checkpoint != "":
			o.Checkpoints = append(o.Checkpoints, l.Checkpoint)
		case l.Signer != nil:
			o.Signers = append(o.Signers, l.Signer)
		case l.Erasure != "":
			o.Erasures = append(o.Erasures, l.Erasure)
		default:
			o.Unreadable++
		}
	})
}
