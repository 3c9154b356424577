package gatelink

import (
	"bytes"
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
	"time"

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
	maxHeld           = 8 << 20     // of rows that the disk refused, in memory
	maxBad            = 8 << 20     // of batches that were put aside; beyond it the oldest are deleted
	retryAfter        = time.Second // the disk is left alone for so long after it refused a row
)

// Spool keeps what a gateway saw on its disk until control has it, in files of at most a megabyte. A row is written
// before Put returns, by one write into the page cache and without waiting for the disk itself: killing the process
// loses nothing, losing power loses what the kernel had not written. What the disk refuses waits in memory, as the same
// batches, until control has it or the disk takes it. Beyond the bound of either rows are folded, by what configuration and
// not a caller can vary, and counted; what is in memory or folded is lost with the process.
type Spool struct {
	dir   string
	bound int64
	clk   clock.Clock
	log   *slog.Logger
	// running says how long the process has run: a pause must not last for hours because somebody set the machine's clock.
	running func() time.Duration

	captureAll atomic.Bool
	wake       chan struct{}

	mu       sync.Mutex
	key      []byte
	open     *spoolFile
	closed   []spooled     // oldest first
	bad      []spooled     // put aside, oldest first
	waiting  int64         // bytes of all batches
	held     int64         // those of them in memory
	rest     time.Duration // no writing to the disk before running says this
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
	rows   int64  // those that folded rows stand for too; 0 if another process wrote the file
	held   []byte // the batch itself, if the disk did not take it
	begun  bool   // it still has the name of an open file
}

type spoolFile struct {
	spooled
	f      *os.File      // nil: in memory
	memory *bytes.Buffer // nil: on the disk
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
	s := &Spool{dir: dir, bound: bound, clk: clk, log: log, running: clock.Running, wake: make(chan struct{}, 1), folded: telemetry.NewFold()}
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
		if !ok {
			continue
		}
		if suffix == badSuffix {
			s.bad = append(s.bad, spooled{name: name, size: info.Size()})
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
		s.closed = append(s.closed, spooled{name: name, madeMs: made, number: number, size: info.Size()})
		s.waiting += info.Size()
	}
	for _, list := range [][]spooled{s.closed, s.bad} {
		slices.SortFunc(list, func(a, b spooled) int { return strings.Compare(a.name, b.name) })
	}
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
	if s.waiting >= s.bound || !s.write(r, now) {
		s.fold(r)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write appends to the open batch; what the disk refuses goes to one in memory.
func (s *Spool) write(r row, nowMs int64) bool {
	if s.key == nil {
		return false
	}
	if !s.resting() {
		if s.open != nil && s.open.memory != nil {
			s.close()
		}
		err := s.append(r, nowMs)
		if err == nil {
			return true
		}
		s.log.Error("the spool cannot be written; rows wait in memory for a moment", "error", err)
		s.close() // half of the row may stand there
		s.rest = s.running() + retryAfter
	}
	if s.held >= maxHeld {
		return false
	}
	if err := s.append(r, nowMs); err != nil {
		s.log.Error("a row cannot be sealed", "error", err)
		s.close()
		return false
	}
	return true
}

// resting tells whether the disk is left alone for a moment.
func (s *Spool) resting() bool { return s.running() < s.rest }

func (s *Spool) append(r row, nowMs int64) error {
	if err := s.begin(nowMs); err != nil {
		return err
	}
	n, leftOut, err := s.open.frames.write(r)
	if err != nil {
		return err
	}
	if leftOut {
		s.captures++
		s.log.Warn("content is left out of a row: it is longer than the spool takes", "limit", maxFrame)
	}
	s.open.lines++
	s.open.rows += r.stands()
	s.grow(s.open, int64(n))
	if s.open.lines >= fileRows || s.open.size >= fileBytes {
		s.close()
	}
	return nil
}

func (s *Spool) grow(o *spoolFile, n int64) {
	o.size += n
	s.waiting += n
	if o.memory != nil {
		s.held += n
	}
}

// begin opens a batch if none is open, in memory while the disk is left alone. Its number is drawn, not counted, so that it
// needs no memory of files that are gone; the time before it keeps numbers apart that are equal by chance.
func (s *Spool) begin(nowMs int64) error {
	if s.open != nil {
		return nil
	}
	number := rand.Int64N(1<<62) + 1
	o := &spoolFile{spooled: spooled{name: fmt.Sprintf("%013d-%d", nowMs, number), madeMs: nowMs, number: number}}
	var err error
	if s.resting() {
		o.memory = &bytes.Buffer{}
		o.frames, err = newFrames(o.memory, s.key)
	} else {
		if o.f, err = os.OpenFile(filepath.Join(s.dir, o.name+openSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return err
		}
		if o.frames, err = newFrames(o.f, s.key); err != nil {
			_ = o.f.Close()
			_ = os.Remove(o.f.Name())
		}
	}
	if err != nil {
		return err
	}
	s.open = o
	s.grow(o, int64(spoolHeader))
	return nil
}

// close makes the open file a batch. It never changes again, so that it may be handed in as often as needed.
func (s *Spool) close() {
	if s.open == nil {
		return
	}
	o := s.open
	s.open = nil
	if o.memory != nil {
		o.held = o.memory.Bytes()
		if o.lines == 0 {
			s.forget(o.spooled)
			return
		}
		s.closed = append(s.closed, o.spooled)
		return
	}
	_ = o.f.Close()
	if o.lines == 0 {
		_ = os.Remove(o.f.Name())
		s.forget(o.spooled)
		return
	}
	if err := os.Rename(o.f.Name(), filepath.Join(s.dir, o.name+closedSuffix)); err != nil {
		s.log.Error("a spool file could not be given its name; it is handed in by the one it has", "error", err)
		o.begun = true
	}
	s.closed = append(s.closed, o.spooled)
}

// forget takes a batch that is gone out of the sums.
func (s *Spool) forget(b spooled) {
	s.waiting -= b.size
	if b.held != nil {
		s.held -= b.size
	}
}

// settle writes what waits in memory to the disk, a batch at a time and without the lock: whoever puts a row stands in a
// request and does not wait for a slow disk.
func (s *Spool) settle() {
	for {
		b, ok := s.inMemory()
		if !ok {
			return
		}
		path := filepath.Join(s.dir, b.name)
		err := os.WriteFile(path+openSuffix, b.held, 0o600)
		if err == nil {
			err = os.Rename(path+openSuffix, path+closedSuffix)
		}
		if err != nil {
			_ = os.Remove(path + openSuffix)
			s.log.Error("rows that wait in memory cannot be written to the spool", "error", err)
		}
		s.mu.Lock()
		if err != nil {
			s.rest = s.running() + retryAfter
		} else if i := slices.IndexFunc(s.closed, func(o spooled) bool { return o.name == b.name }); i >= 0 {
			s.held -= b.size
			s.closed[i].held = nil
		}
		s.mu.Unlock()
	}
}

// inMemory is the oldest batch that waits in memory, ok is false if there is none or the disk is left alone.
func (s *Spool) inMemory() (b spooled, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == 0 || s.resting() {
		return b, false
	}
	if s.open != nil && s.open.memory != nil {
		s.close()
	}
	i := slices.IndexFunc(s.closed, func(o spooled) bool { return o.held != nil })
	if i < 0 {
		return b, false
	}
	return s.closed[i], true
}

// next is the oldest batch, ok is false if there is none. Without a closed batch the open one is closed. Only one may take
// batches at a time.
func (s *Spool) next() (b spooled, ok bool) {
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfold()
	if len(s.closed) == 0 {
		s.close()
	}
	if len(s.closed) == 0 {
		return b, false
	}
	return s.closed[0], true
}

// read gives the bytes of a batch.
func (s *Spool) read(b spooled) ([]byte, error) {
	if b.held != nil {
		return b.held, nil
	}
	return os.ReadFile(s.path(b))
}

func (s *Spool) path(b spooled) string {
	if b.begun {
		return filepath.Join(s.dir, b.name+openSuffix)
	}
	return filepath.Join(s.dir, b.name+closedSuffix)
}

// done forgets a batch that control has, or puts it aside if control can never take it; then its rows are lost.
func (s *Spool) done(b spooled, bad bool) error {
	var err error
	switch {
	case bad:
		if b.rows == 0 {
			b.rows = max(1, framesOf(s.path(b)))
		}
		// What cannot be put aside either is forgotten until the next start, so that what stands behind it goes on.
		if b.held == nil {
			if err := os.Rename(s.path(b), filepath.Join(s.dir, b.name+badSuffix)); err != nil {
				s.log.Error("a bad batch could not be put aside", "batch", b.name, "error", err)
			}
		}
	default:
		err = os.Remove(s.path(b)) // it may have come to the disk meanwhile
	}
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad {
		s.nBad++
		s.nLost += b.rows
		if b.held == nil {
			s.bad = append(s.bad, b)
			s.trim()
		}
	}
	s.closed = slices.DeleteFunc(s.closed, func(o spooled) bool {
		if o.name == b.name {
			s.forget(o)
		}
		return o.name == b.name
	})
	return nil
}

// trim deletes the oldest of what was put aside: somebody may look into it, but it must not fill the disk.
func (s *Spool) trim() {
	var sum int64
	for _, b := range s.bad {
		sum += b.size
	}
	for sum > maxBad {
		if err := os.RemoveAll(filepath.Join(s.dir, s.bad[0].name+badSuffix)); err != nil {
			s.log.Error("a batch that was put aside could not be deleted", "batch", s.bad[0].name, "error", err)
		}
		sum -= s.bad[0].size
		s.bad = s.bad[1:]
	}
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
	s.rest = 0
	s.mu.Unlock()
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfold()
	s.close()
	for _, b := range s.closed {
		if b.held != nil {
			s.nLost += b.rows
		}
	}
	s.folded.Take(func(g *telemetry.Signal) bool { s.nLost += int64(g.Count); return true },
		func(t *telemetry.Aggregate) bool { s.nLost += int64(t.Count); return true })
	if s.nLost > 0 {
		s.log.Error("rows that came to no disk are lost", "rows", s.nLost)
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
	if s.folded.Len() == 0 || s.waiting >= s.bound+s.bound/4 || s.resting() && s.held >= maxHeld {
		return
	}
	s.folded.Take(func(g *telemetry.Signal) bool { return s.write(row{Signal: g}, now) },
		func(t *telemetry.Aggregate) bool { return s.write(row{Aggregate: t}, now) })
}
