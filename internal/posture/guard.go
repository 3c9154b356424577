package posture

import "github.com/fengsui/fengsui/internal/platform/fault"

// Guard is a model that is asked about texts which a rule or a classifier observes and none stops.
type Guard struct {
	BaseURL string `json:"base_url"`        // as of a Deployment
	Model   string `json:"model"`           //
	Format  string `json:"format,omitzero"` // "" asks for one word; LlamaGuard and Qwen3Guard have prompts and answers of their own
	Secret  string `json:"secret,omitzero"` // reference into the secret store, bound to the address
	// Action is Observe, which asks beside the traffic and reports what is called unsafe, or Block, with which the text waits
	// and is blocked if it is.
	Action Action `json:"action"`
	// Failure is what becomes of a text that waits when there is no opinion.
	Failure   FailureMode `json:"failure"`
	WaitMs    int64       `json:"wait_ms"`    // [2000] for one opinion
	PerMinute int         `json:"per_minute"` // [60] questions of one gateway
	AtOnce    int         `json:"at_once"`    // [16] questions of one gateway that are under way together
}

// The formats of guards that have prompts of their own.
const (
	LlamaGuard = "llama_guard"
	Qwen3Guard = "qwen3guard"
)

// The most that a guard may be given.
const (
	GuardWaitMsMost    = 15_000
	GuardPerMinuteMost = 1_000_000
	GuardAtOnceMost    = 1024
)

func (g *Guard) clone() *Guard {
	if g == nil {
		return nil
	}
	c := *g
	return &c
}

func (g *Guard) fill() {
	if g == nil {
		return
	}
	if g.Failure == "" {
		g.Failure = Closed
	}
	if g.WaitMs == 0 {
		g.WaitMs = 2000
	}
	if g.PerMinute == 0 {
		g.PerMinute = 60
	}
	if g.AtOnce == 0 {
		g.AtOnce = 16
	}
}

func (g *Guard) check() error {
	switch {
	case g == nil:
		return nil
	case g.Model == "":
		return fault.Invalid("posture.guard.model", "posture.missing")
	case !UsableURL(g.BaseURL):
		return fault.Invalid("posture.guard.base_url", "posture.bad_url")
	case g.Format != "" && g.Format != LlamaGuard && g.Format != Qwen3Guard:
		return fault.Invalid("posture.guard.format", "posture.unknown_value", "value", g.Format)
	case g.Action != Observe && g.Action != Block:
		return fault.Invalid("posture.guard.action", "posture.unknown_value", "value", string(g.Action))
	case g.Failure != Open && g.Failure != Closed:
		return fault.Invalid("posture.guard.failure", "posture.unknown_value", "value", string(g.Failure))
	case g.WaitMs < 0 || g.PerMinute < 0 || g.AtOnce < 0:
		return fault.Invalid("posture.guard", "posture.negative")
	case g.WaitMs > GuardWaitMsMost || g.PerMinute > GuardPerMinuteMost || g.AtOnce > GuardAtOnceMost:
		return fault.Invalid("posture.guard", "posture.unknown_value", "value", "too large")
	}
	return nil
}

// Asks is the guard without what is done with its opinion: whom to ask, and how much.
func (g Guard) Asks() Guard {
	g.Action, g.Failure = "", ""
	return g
}
