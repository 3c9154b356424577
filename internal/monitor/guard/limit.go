package guard

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// breaker leaves a guard alone that keeps failing. When the rest is over one question tries it; until that has an answer
// the others do not.
type breaker struct {
	failures int
	until    time.Time     // zero: it is not resting
	pause    time.Duration // of the last rest
	trying   bool
}

// open says whether a question may be asked. Who was let through tells one of worked, failed and tried.
func (b *breaker) open(now time.Time) bool {
	switch {
	case b.until.IsZero():
		return true
	case b.trying || now.Before(b.until):
		return false
	}
	b.trying = true
	return true
}

func (b *breaker) resting(now time.Time) bool {
	return !b.until.IsZero() && (b.trying || now.Before(b.until))
}

func (b *breaker) worked() { *b = breaker{} }

// tried: the question says nothing about the guard.
func (b *breaker) tried() { b.trying = false }

// failed counts; asked is the rest that the guard itself asks for, 0 if it does not.
func (b *breaker) failed(now time.Time, asked time.Duration) {
	b.failures++
	switch again := !b.until.IsZero(); {
	case asked > 0:
		b.pause = min(asked, restMost)
	case b.failures < tries && !again:
		return
	default:
		b.pause = min(max(2*b.pause, restFirst), restMost)
	}
	b.until, b.trying = now.Add(b.pause), false
}

// purse is a budget that fills up evenly and holds a minute's worth.
type purse struct {
	most, have float64
	at         time.Time
}

func newPurse(perMinute int, now time.Time) purse {
	return purse{float64(perMinute), float64(perMinute), now}
}

func (p *purse) take(now time.Time) bool {
	if passed := now.Sub(p.at); passed > 0 {
		p.have = min(p.most, p.have+passed.Minutes()*p.most)
	}
	p.at = now // also when the clock was set back
	if p.have < 1 {
		return false
	}
	p.have--
	return true
}

type memoryName [sha256.Size]byte

// memory holds the opinions used last.
type memory struct {
	at    map[memoryName]*list.Element
	order *list.List // of kept, the one used last in front
}

type kept struct {
	name  memoryName
	op    Opinion
	until time.Time
}

func newMemory() memory { return memory{map[memoryName]*list.Element{}, list.New()} }

func (m *memory) recall(name memoryName, now time.Time) (Opinion, bool) {
	e := m.at[name]
	if e == nil {
		return Opinion{}, false
	}
	k := e.Value.(kept)
	if !now.Before(k.until) {
		m.order.Remove(e)
		delete(m.at, name)
		return Opinion{}, false
	}
	m.order.MoveToFront(e)
	return k.op, true
}

func (m *memory) keep(name memoryName, op Opinion, until time.Time) {
	if e := m.at[name]; e != nil {
		m.order.Remove(e)
	}
	m.at[name] = m.order.PushFront(kept{name, op, until})
	if m.order.Len() > remembered {
		last := m.order.Back()
		delete(m.at, last.Value.(kept).name)
		m.order.Remove(last)
	}
}
