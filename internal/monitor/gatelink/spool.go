package gatelink

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// Bounds of a spool.
const (
	DefaultSpoolBytes = 256 << 20
	fileRows          = 1000
	fileBytes         = 1 << 20
	maxFolded         = 4096
	retryAfterMs      = 1000 // rows are folded for so long after the disk refused one
)

// Spool keeps what a gateway saw on its disk until control has it, in files of at most a megabyte. A row is written
// before Put returns, by one write into the page cache and without waiting for the disk itself: killing the process
// loses nothing, losing power loses what the kernel had not written. Beyond the bound rows are folded, by what
// configuration and not a caller can vary, and counted; what is folded is lost with the process until there is room.
type Spool struct {
	dir   string
	bound int64
	clk   clock.Clock
	log   *slog.Logger

	captureAll atomic.Bool
	wake       chan struct{}

	mu       sync.Mutex
	key      []byte
	open     *spoolFile
	closed   []spooled // oldest first
	waiting  int64     // bytes of all files
	restMs   int64     // no writing before this
	folded   *telemetry.Fold
	nFolded  int64
	nLost    int64
	nBad     int64
	captures int64 // contents given up: with folded rows, or too long
}

var _ behaviour.Log = (*Spool)(nil)

type spooled struct {
	name   string // without suffix: when it was begun, and its number
	madeMs int64
	number int64
	size   int64
	rows   int64 // those that folded rows stand for too; 0 if another process wrote the file
}

type spoolFile struct {
	spooled
	f      *os.File
	frames *frames
	lines  int
}

const (
	openSuffix   = ".open"
	closedSuffix = ".batch"
	badSuffix    = ".bad"
)

// OpenSpool opens the folder of a spool, made if missing. Files that a killed process left open are closed; only one
// process may have a spool open. bound 0 is DefaultSpoolBytes.
func OpenSpool(dir string, bound int64, clk clock.Clock, log *slog.Logger) (*Spool, error) {
	if bound <= 0 {
		bound = DefaultSpoolBytes
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Spool{dir: dir, bound: bound, clk: clk, log: log, wake: make(chan struct{}, 1), folded: telemetry.NewFold()}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		name, suffix := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name())
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		made, number, ok := parseName(name)
		if !ok || suffix == badSuffix {
			continue
		}
		if suffix == openSuffix {
			if info.Size() <= int64(spoolHeader) {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					return nil, err
				}
				continue
			}
			if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, name+closedSuffix)); err != nil {
				return nil, err
			}
		}
		s.closed = append(s.closed, spooled{name, made, number, info.Size(), 0})
		s.waiting += info.Size()
	}
	slices.SortFunc(s.closed, func(a, b spooled) int { return strings.Compare(a.name, b.name) })
	return s, nil
}

func parseName(name string) (madeMs, number int64, ok bool) {
	a, b, found := strings.Cut(name, "-")
	madeMs, err1 := strconv.ParseInt(a, 10, 64)
	number, err2 := strconv.ParseInt(b, 10, 64)
	return madeMs, number, found && err1 == nil && err2 == nil && number > 0
}

// Configure sets to whom rows are sealed and whether all content is kept, as control says.
func (s *Spool) Configure(spoolKey []byte, captureAll bool) {
	s.captureAll.Store(captureAll)
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(s.key) != string(spoolKey) {
		s.close()
		s.key = slices.Clone(spoolKey)
	}
}

// CaptureAll says whether the content of every request is kept.
func (s *Spool) CaptureAll() bool { return s.captureAll.Load() }

// PutTraffic keeps the row of a request that ended.
func (s *Spool) PutTraffic(t telemetry.Traffic) {
	if t.RequestID == "" {
		t.RequestID = store.NewID(clock.Ms(s.clk))
	}
	s.put(row{Traffic: &t, Content: t.Content})
}

// PutSignal keeps a signal.
func (s *Spool) PutSignal(g telemetry.Signal) {
	if g.ID == "" {
		g.ID = store.NewID(clock.Ms(s.clk))
	}
	g.Count, g.Subjects = 1, "[]"
	s.put(row{Signal: &g, Content: g.Content})
}

func (s *Spool) put(r row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := clock.Ms(s.clk)
	if s.waiting >= s.bound || now < s.restMs || !s.write(r, now) {
		s.fold(r)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write appends to the open file. A file that refused a row is closed, because half of it may stand there.
func (s *Spool) write(r row, nowMs int64) bool {
	if s.key == nil {
		return false
	}
	err := s.begin(nowMs)
	if err == nil {
		n, leftOut, failed := s.open.frames.write(r)
		if leftOut {
			s.captures++
			s.log.Warn("content is left out of a row: it is longer than the spool takes", "limit", maxFrame)
		}
		if err = failed; err == nil {
			s.open.lines++
			s.open.rows += r.stands()
			s.open.size += int64(n)
			s.waiting += int64(n)
			if s.open.lines >= fileRows || s.open.size >= fileBytes {
				s.close()
			}
			return true
		}
	}
	s.log.Error("the spool cannot be written; rows are folded for a moment", "error", err)
	s.close()
	s.restMs = nowMs + retryAfterMs
	return false
}

// begin opens a file if none is open. Its number is drawn, not counted, so that it needs no memory of files that are
// gone; the time before it keeps numbers apart that are equal by chance.
func (s *Spool) begin(nowMs int64) error {
	if s.open != nil {
		return nil
	}
	number := rand.Int64N(1<<62) + 1
	name := fmt.Sprintf("%013d-%d", nowMs, number)
	f, err := os.OpenFile(filepath.Join(s.dir, name+openSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fr, err := newFrames(f, s.key)
	if err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return err
	}
	s.open = &spoolFile{spooled: spooled{name, nowMs, number, int64(spoolHeader), 0}, f: f, frames: fr}
	s.waiting += int64(spoolHeader)
	return nil
}

// close makes the open file a batch. It never changes again, so that it may be handed in as often as needed.
func (s *Spool) close() {
	if s.open == nil {
		return
	}
	o := s.open
	s.open = nil
	_ = o.f.Close()
	if o.lines == 0 {
		_ = os.Remove(o.f.Name())
		s.waiting -= o.size
		return
	}
	if err := os.Rename(o.f.Name(), filepath.Join(s.dir, o.name+closedSuffix)); err != nil {
		s.log.Error("a spool file could not be closed; the next start does it", "error", err)
		return
	}
	s.closed = append(s.closed, o.spooled)
}

// next is the oldest batch, ok is false if there is none. Without a closed file the open one is closed.
func (s *Spool) next() (b spooled, path string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfold()
	if len(s.closed) == 0 {
		s.close()
	}
	if len(s.closed) == 0 {
		return b, "", false
	}
	b = s.closed[0]
	return b, filepath.Join(s.dir, b.name+closedSuffix), true
}

// done forgets a batch that control has, or puts it aside if control can never take it; then its rows are lost.
func (s *Spool) done(b spooled, bad bool) error {
	path := filepath.Join(s.dir, b.name+closedSuffix)
	var err error
	if bad {
		if b.rows == 0 {
			b.rows = max(1, framesOf(path))
		}
		// What cannot be put aside either is forgotten until the next start, so that what stands behind it goes on.
		if err := os.Rename(path, filepath.Join(s.dir, b.name+badSuffix)); err != nil {
			s.log.Error("a bad batch could not be put aside", "batch", b.name, "error", err)
		}
	} else {
		err = os.Remove(path)
	}
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad {
		s.nBad++
		s.nLost += b.rows
	}
	s.closed = slices.DeleteFunc(s.closed, func(o spooled) bool { return o.name == b.name })
	s.waiting -= b.size
	return nil
}

func framesOf(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	return countFrames(f)
}

// Close closes the open file; nothing may be put afterwards.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfold()
	s.close()
	s.folded.Take(func(g *telemetry.Signal) bool { s.nLost += int64(g.Count); return true },
		func(t *telemetry.Aggregate) bool { s.nLost += int64(t.Count); return true })
	if s.nLost > 0 {
		s.log.Error("rows that were folded for want of room are lost", "rows", s.nLost)
	}
	return nil
}

// Numbers are how the spool fares: bytes waiting, rows folded and rows lost since the start, batches put aside.
func (s *Spool) Numbers() (waiting, folded, lost, bad int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting, s.nFolded, s.nLost, s.nBad
}

// Bound is how many bytes may wait.
func (s *Spool) Bound() int64 { return s.bound }

// fold adds a row to the one of its kind.
func (s *Spool) fold(r row) {
	s.nFolded++
	if r.Content != nil {
		s.captures++
	}
	switch {
	case s.folded.Len() >= maxFolded:
		s.nLost++
	case r.Traffic != nil:
		s.folded.Traffic(r.Traffic)
	case r.Signal != nil:
		s.folded.Signal(r.Signal)
	}
}

// unfold writes what was folded. It takes a quarter more than the bound, so that a flood is told of while it lasts; what
// is folded is as small as configuration.
func (s *Spool) unfold() {
	now := clock.Ms(s.clk)
	if s.folded.Len() == 0 || s.waiting >= s.bound+s.bound/4 || now < s.restMs {
		return
	}
	s.folded.Take(func(g *telemetry.Signal) bool { return s.write(row{Signal: g}, now) },
		func(t *telemetry.Aggregate) bool { return s.write(row{Aggregate: t}, now) })
}
