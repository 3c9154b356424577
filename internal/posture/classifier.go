package posture

import (
	"regexp"
	"slices"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Classifier lets a head of a model judge texts; see [inspect.Classifier].
type Classifier struct {
	ID      string  `json:"id"`
	Model   string  `json:"model"` // digest of the model's file, "sha256:" and hex
	Head    string  `json:"head"`
	Risk    string  `json:"risk,omitzero"`
	Observe float64 `json:"observe"`         // probability from which it is noted, above 0 and below 1
	Block   float64 `json:"block,omitempty"` // from which the text is blocked, not below Observe; 0: never
	Asked   bool    `json:"asked,omitzero"`  // judges only what users and tools write
}

var digests = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (c Classifier) check(path string, ids map[string]bool) error {
	switch {
	case c.ID == "":
		return fault.Invalid(path+".classifiers.id", "posture.missing")
	case ids[c.ID]:
		return fault.Invalid(path+".classifiers."+c.ID, "posture.repeated", "value", c.ID)
	case c.Head == "":
		return fault.Invalid(path+".classifiers."+c.ID+".head", "posture.missing")
	case !digests.MatchString(c.Model):
		return fault.Invalid(path+".classifiers."+c.ID+".model", "posture.unknown_value", "value", c.Model)
	case !(c.Observe > 0 && c.Observe < 1):
		return fault.Invalid(path+".classifiers."+c.ID+".observe", "posture.probability")
	case c.Block != 0 && !(c.Block >= c.Observe && c.Block < 1):
		return fault.Invalid(path+".classifiers."+c.ID+".block", "posture.probability")
	}
	ids[c.ID] = true
	return nil
}

// stricter gives both lists with one classifier a head: of two the lower probabilities.
func stricter(base, more []Classifier) []Classifier {
	out := slices.Clone(base)
	for _, c := range more {
		at := slices.IndexFunc(out, func(have Classifier) bool { return have.Model == c.Model && have.Head == c.Head })
		if at < 0 {
			out = append(out, c)
			continue
		}
		have := &out[at]
		have.Observe, have.Asked = min(have.Observe, c.Observe), have.Asked && c.Asked
		if have.Block == 0 || c.Block != 0 && c.Block < have.Block {
			have.Block = c.Block
		}
	}
	return out
}
