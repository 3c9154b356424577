// Package guard asks a model for a second opinion about a text that the rules neither cleared nor stopped.
//
// The model is anything that speaks the OpenAI chat completion API. It is shown the text as data and may answer with one
// word of [Words]; whatever else it says is no opinion. Models that were trained to be guards have prompts and answers of
// their own, see [Options].Format; of these, too, only what their makers document is an opinion. Its answer never reaches a client, so a text that talks it round
// gains one thing at most: to be called safe by the second reader, as if there were none.
//
// A guard may be slow, away or wrong without doing harm to what waits for it: each question has a time-out, questions a
// budget per minute and a bound on how many are asked at once, and one that keeps failing is left alone for a while. What
// then becomes of the text is the caller's to decide; see [Silence].
//
// No text is logged, kept or named in an error. What was asked lately is remembered by an HMAC under a key that is drawn
// anew for each guard.
package guard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Clock tells the time; internal/platform/clock has one.
type Clock interface{ Now() time.Time }

// Options say whom to ask and how much. Fields without a default in brackets are required.
type Options struct {
	BaseURL   string                           // up to and including the version, such as https://guard.example.com/v1
	Model     string                           //
	Format    string                           // of posture.Guard
	Secret    string                           // reference of the key, "" if it needs none
	Key       func(ref string) (string, error) // opens the reference
	Transport http.RoundTripper                // keeps from inner addresses, see outgoing.Guard
	Clock     Clock
	Wait      time.Duration // [2 s] for one question, waiting for a place included
	PerMinute int           // [60] questions
	AtOnce    int           // [16] questions
}

// Bounds that nobody has had to change yet.
const (
	waiting     = 64               // questions that wait for a place
	remembered  = 4096             // opinions
	rememberFor = 10 * time.Minute //
	tries       = 5                // failures in a row after which the guard is left alone, and silences in a row after which it counts as quiet
	restFirst   = 30 * time.Second // ... for so long, twice as long each time
	restMost    = 10 * time.Minute
)

// Question is a text and where it comes from.
type Question struct {
	Before []Turn // what was said before it, oldest first: shown as far as there is room
	Text   string
	At     int  // byte offset of what made it uncertain: of a long text that part is shown
	Said   bool // by the model; else to it
}

// Turn is one text of a conversation.
type Turn struct {
	Text string
	Said bool // by the model; else to it
}

// Opinion is what the guard says.
type Opinion struct {
	Word   string // one of Words
	Risk   string // its code in the annex of risks, "" if it has none
	Unsafe bool
}

// Unclassed tells whether a text is unsafe and the guard does not say in which way.
func (o Opinion) Unclassed() bool { return o.Word == unsafe }

// Silence is why there is no opinion. It is the only error of Ask.
type Silence string

// The silences.
const (
	Busy        Silence = "busy"        // too many wait already
	Budget      Silence = "budget"      // the minute's questions are spent
	Resting     Silence = "resting"     // it failed too often and is left alone
	Late        Silence = "late"        // no answer in time
	Unreachable Silence = "unreachable" // no connection, or one that broke
	Refused     Silence = "refused"     // an answer that is not a success
	Unclear     Silence = "unclear"     // an answer, but not a word of the list
	Keyless     Silence = "keyless"     // its key is not in the secret store
	Left        Silence = "left"        // who asked does not wait any more
	Many        Silence = "many"        // never asked: the same request has asked enough
	Gone        Silence = "gone"        // never asked: what was noticed is not kept any more
)

// Silences are all of them, in the order of above.
func Silences() []Silence {
	return []Silence{Busy, Budget, Resting, Late, Unreachable, Refused, Unclear, Keyless, Left, Many, Gone}
}

func (s Silence) Error() string { return "the guard model has no opinion: " + string(s) }

// Numbers say how a guard fares. Those that count only grow.
type Numbers struct {
	Asked    int64             `json:"asked"`    // questions, those answered from memory included
	Recalled int64             `json:"recalled"` // answered from memory, or by the answer to the same question
	Partly   int64             `json:"partly"`   // texts of which a part was in no question: they are longer than what is shown of them
	Unsafe   int64             `json:"unsafe"`   // opinions that a text is unsafe
	Silent   map[Silence]int64 `json:"silent"`   // questions without an opinion, those never asked included
	Resting  bool              `json:"resting"`  // it is left alone now
	Quiet    bool              `json:"quiet"`    // nobody has heard from it lately: it rests, or its last questions, five or more, got no opinion
}

// Guard is safe for concurrent use. It has no goroutines of its own.
type Guard struct {
	o      Options
	places chan struct{}
	key    [sha256.Size]byte // of the memory

	mu     sync.Mutex
	queue  int // who waits for a place
	rest   breaker
	purse  purse
	known  memory
	format format
	asking map[memoryName]*flight
	counts Numbers
	vain   int // questions in a row without an opinion
}

// New makes a guard. It asks nothing yet.
func New(o Options) *Guard {
	if o.Wait <= 0 {
		o.Wait = 2 * time.Second
	}
	if o.PerMinute <= 0 {
		o.PerMinute = 60
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 16
	}
	g := &Guard{o: o, format: formatOf(o.Format), places: make(chan struct{}, o.AtOnce), purse: newPurse(o.PerMinute, o.Clock.Now()), known: newMemory(), asking: map[memoryName]*flight{},
		counts: Numbers{Silent: map[Silence]int64{}}}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

// JudgesAll tells whether the guard judges what was said before a text, too, and not only in its light.
func (g *Guard) JudgesAll() bool { return !g.format.turns }

// Ask gives the guard's opinion, or a Silence as error. It returns soon after ctx ends.
func (g *Guard) Ask(ctx context.Context, q Question) (Opinion, error) {
	op, recalled, err := g.ask(ctx, q)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.Asked++
	var s Silence
	switch {
	case errors.As(err, &s):
		g.counts.Silent[s]++
		if s != Left {
			g.vain++
		}
	case op.Unsafe:
		g.counts.Unsafe++
	}
	switch {
	case recalled:
		g.counts.Recalled++
	case err == nil:
		g.vain = 0
	}
	return op, err
}

// Recall gives what the guard said to the same question lately, and asks nobody.
func (g *Guard) Recall(q Question) (Opinion, bool) {
	name := g.name(shorten(q))
	g.mu.Lock()
	defer g.mu.Unlock()
	op, ok := g.known.recall(name, g.o.Clock.Now())
	if ok {
		g.counts.Asked++
		g.counts.Recalled++
		if op.Unsafe {
			g.counts.Unsafe++
		}
	}
	return op, ok
}

// Unasked counts a text that there should have been an opinion about, and why nobody was asked.
func (g *Guard) Unasked(s Silence) Silence {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.Silent[s]++
	return s
}

// Partly counts a text of which a part was in no question.
func (g *Guard) Partly() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.Partly++
}

// flight is a question that is being asked. Its result may be read when done is closed.
type flight struct {
	done chan struct{}
	op   Opinion
	err  error
}

// ask asks the model, unless it said or is being asked the same.
func (g *Guard) ask(ctx context.Context, q Question) (op Opinion, recalled bool, err error) {
	q = shorten(q)
	name := g.name(q)
	waits, cancel := context.WithTimeout(ctx, g.o.Wait)
	defer cancel()
	for {
		g.mu.Lock()
		if op, ok := g.known.recall(name, g.o.Clock.Now()); ok {
			g.mu.Unlock()
			return op, true, nil
		}
		f := g.asking[name]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			g.asking[name] = f
			g.mu.Unlock()
			f.op, f.err = g.put(ctx, waits, q, name)
			g.mu.Lock()
			delete(g.asking, name)
			g.mu.Unlock()
			close(f.done)
			return f.op, false, f.err
		}
		g.mu.Unlock()
		select {
		case <-f.done:
			if !errors.Is(f.err, Left) { // else the next one asks in its stead
				return f.op, f.err == nil, f.err
			}
		case <-waits.Done():
			if ctx.Err() != nil {
				return Opinion{}, false, Left
			}
			return Opinion{}, false, Late
		}
	}
}

// put asks the model for one who waits as long as ctx, and all the while that nobody cancels all.
func (g *Guard) put(all, ctx context.Context, q Question, name memoryName) (op Opinion, err error) {
	leave, err := g.place(ctx)
	if err == nil {
		defer leave()
		if err = g.may(); err == nil {
			op, err = g.call(ctx, q, name)
		}
	}
	switch {
	case all.Err() != nil && err != nil:
		return Opinion{}, Left
	case err != nil && ctx.Err() != nil:
		return Opinion{}, Late
	}
	return op, err
}

// place waits until fewer than AtOnce ask.
func (g *Guard) place(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.places }
	select {
	case g.places <- struct{}{}:
		return leave, nil
	default:
	}
	g.mu.Lock()
	full := g.queue >= waiting
	if !full {
		g.queue++
	}
	g.mu.Unlock()
	if full {
		return nil, Busy
	}
	defer func() {
		g.mu.Lock()
		g.queue--
		g.mu.Unlock()
	}()
	select {
	case g.places <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, Late
	}
}

// may asks breaker and budget. Who may must call.
func (g *Guard) may() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Clock.Now()
	if !g.rest.open(now) {
		return Resting
	}
	if !g.purse.take(now) {
		g.rest.tried()
		return Budget
	}
	return nil
}

// call asks the model and lets breaker and memory know.
func (g *Guard) call(ctx context.Context, q Question, name memoryName) (Opinion, error) {
	op, pause, err := g.send(ctx, q)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.o.Clock.Now()
	var s Silence
	errors.As(err, &s)
	switch {
	case err == nil:
		g.rest.worked()
		g.known.keep(name, op, now.Add(rememberFor))
	case s == Unclear:
		// It is there. Were this a failure, a text that confuses the guard would take it away from all others.
		g.rest.worked()
	case s == Keyless, errors.Is(ctx.Err(), context.Canceled):
		g.rest.tried() // no word about the guard
	default:
		g.rest.failed(now, pause)
	}
	return op, err
}

func (g *Guard) name(q Question) (name memoryName) {
	m := hmac.New(sha256.New, g.key[:])
	for _, t := range append([]Turn{{q.Text, q.Said}}, q.Before...) {
		head := binary.LittleEndian.AppendUint64(nil, uint64(len(t.Text))) // so that no two questions read alike
		if t.Said {
			head = append(head, 1)
		} else {
			head = append(head, 0)
		}
		_, _ = m.Write(head)
		_, _ = io.WriteString(m, t.Text)
	}
	m.Sum(name[:0])
	return name
}

// Numbers gives how the guard fares; a copy.
func (g *Guard) Numbers() Numbers {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.counts
	n.Silent = map[Silence]int64{}
	for s, k := range g.counts.Silent {
		n.Silent[s] = k
	}
	n.Resting = g.rest.resting(g.o.Clock.Now())
	n.Quiet = n.Resting || g.vain >= tries
	return n
}
