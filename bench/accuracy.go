package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect/classify"
	"github.com/fengsui/fengsui/internal/inspect/classify/train"
)

// accuracyPart trains classifiers on public sets and says how right they are: first on sets that they have not seen, then
// on the set that they were trained on, then how often the model that ships raises false alarms. With -model it writes
// that model. Nothing is chosen by what is reported.
func accuracyPart(ctx context.Context, b *bench) ([]table, error) {
	all, err := readMixture(b.samples)
	if err != nil {
		return nil, err
	}
	a := &accuracy{bench: b, ctx: ctx, all: all}
	for _, step := range []func() error{a.across, a.ship, a.within, a.leftOut} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return a.tables, a.writeCard()
}

// writeCard puts the tables below the heading Scores of the model card.
func (a *accuracy) writeCard() error {
	if a.card == "" {
		return nil
	}
	const heading = "\n## Scores\n"
	card, err := os.ReadFile(a.card)
	if err != nil {
		return err
	}
	before, _, found := strings.Cut(string(card), heading)
	if !found {
		return fmt.Errorf("-card: %s has no heading Scores", a.card)
	}
	var b strings.Builder
	b.WriteString(before + heading)
	for _, t := range a.tables {
		t.section(&b)
	}
	return os.WriteFile(a.card, []byte(b.String()), 0o644)
}

type accuracy struct {
	*bench
	ctx    context.Context
	all    mixture
	ships  *classify.Model
	tables []table
}

// modelSeed makes the model that ships the same each time.
const modelSeed = 2025

// fit trains heads on samples.
func (a *accuracy) fit(from mixture, list []train.Head, note string) (*classify.Model, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	fit, choose, _ := from.parts()
	return train.Fit(fit.answers(list), choose.answers(list), train.Options{Heads: list, Seed: modelSeed, Note: note})
}

// try measures one head on samples at a threshold; 0 means its own.
func try(m *classify.Model, head string, on mixture, threshold float64) train.Figures {
	var of []float64
	var yes []bool
	list := m.Heads()
	for h := range list {
		if list[h].ID != head {
			continue
		}
		if threshold == 0 {
			threshold = list[h].Threshold
		}
		want := []train.Head{{ID: head}}
		for _, s := range on {
			if known := s.answers(want).Answer[0]; known != train.Unknown {
				of, yes = append(of, m.Scores(nil, s.text)[h]), append(yes, known == train.Yes)
			}
		}
	}
	return train.Measure(of, yes, threshold)
}

// figuresOf are the columns that every table of heads has: once at the threshold that was chosen on the training sets, once at one half.
func figuresOf(m *classify.Model, head string, on mixture) (keys []string, figures []figure) {
	own, half := try(m, head, on, 0), try(m, head, on, 0.5)
	one := func(name string, v float64) figure { return newFigure(name, "", []float64{v}) }
	return []string{train.Share(own.Hits, own.Yes), train.Share(own.Alarms, own.No), train.Share(half.Hits, half.Yes), train.Share(half.Alarms, half.No)},
		[]figure{one("AUC", own.AUC), one("accuracy at 0.5", half.Accuracy()), one("balanced", half.Balanced()), one("F1 at 0.5", half.F1()), one("calibration error", half.Calibration)}
}

var measured = []string{"found, own threshold", "false alarms, own threshold", "found at 0.5", "false alarms at 0.5"}

// across trains without the set that is tested.
func (a *accuracy) across() error {
	registers := []string{"BELLE", "BELLE answers", "JADE safe answers", "own plain", "own plain, to choose by"}
	injections := append([]string{"JADE questions", "PurpleLlama system", "XSTest safe", "XSTest unsafe"}, registers...)
	t := table{Part: "accuracy", Title: "Accuracy across sets: trained without the set that is tested", Keys: append([]string{"head", "learned from", "tested on"}, measured...)}
	for _, c := range []struct {
		head  string
		from  []string
		plain []string // registers of harmless text beside it
		on    []string
		by    string
	}{
		{"discrimination", []string{"COLD"}, registers, []string{"SWSR"}, ""},
		{"sex", []string{"COLD"}, registers, []string{"SWSR"}, ""},
		{"discrimination", []string{"SWSR"}, registers, []string{"COLD dev"}, ""},
		{"sex", []string{"SWSR"}, registers, []string{"COLD dev"}, "gender"},
		{"fraud", []string{"ChineseHarm"}, registers, []string{"telecom fraud", "telecom ordinary"}, ""},
		{"fraud", []string{"ChineseHarm", "own fraud"}, registers, []string{"telecom fraud", "telecom ordinary"}, ""},
		{"fraud", []string{"telecom fraud", "telecom ordinary"}, registers, []string{"ChineseHarm"}, ""},
		{"fraud", []string{"telecom fraud", "telecom ordinary", "own fraud"}, registers, []string{"ChineseHarm"}, ""},
		{"injection", []string{"PurpleLlama en"}, injections, []string{"PurpleLlama multilingual", "NotInject"}, ""},
		{"injection", []string{"PurpleLlama en", "own injection"}, injections, []string{"PurpleLlama multilingual", "NotInject"}, ""},
		{"injection", []string{"PurpleLlama multilingual"}, injections, []string{"PurpleLlama en", "NotInject"}, ""},
		{"injection", []string{"PurpleLlama multilingual", "own injection"}, injections, []string{"PurpleLlama en", "NotInject"}, ""},
	} {
		m, err := a.fit(a.all.of(append(c.from, c.plain...)...), heads(c.head), "")
		if err != nil {
			return fmt.Errorf("%s from %s: %w", c.head, c.from, err)
		}
		keys, figures := figuresOf(m, c.head, a.all.of(c.on...))
		t.Rows = append(t.Rows, row{Keys: append([]string{c.head, strings.Join(c.from, ", "), strings.Join(c.on, ", ")}, keys...), Figures: figures})
		a.say("       %s from %s", c.head, strings.Join(c.from, ", "))
	}
	t.Notes = []string{"Beside the set that is named each learned from harmless text of other registers (BELLE, safe answers of JADE, own; for injections questions of JADE and XSTest and the system prompts too), never from the set that is tested.",
		"Threshold, curve and probabilities were chosen on a tenth of the sets learned from, kept apart by a hash of the text. Calibration error: mean distance of probability and share of right answers.",
		"Head sex on COLD dev: offensive texts on race and region count as not it.", "Own fraud, own injection: sentences of this project (bench/own), which are in the model that ships as well; the rows without them show what they are worth."}
	a.tables = append(a.tables, t)
	return nil
}

// within trains on COLD and tests on its other file, beside plain models of the same file.
func (a *accuracy) within() error {
	cold, dev := a.all.of("COLD"), a.all.of("COLD dev")
	t := table{Part: "accuracy", Title: "Accuracy within a set: COLD, learned from its training file, tested on its other file", Keys: []string{"model", "right at 0.5", "only this right : only ours right"}}
	want := heads("discrimination")
	m, err := a.fit(cold, want, "")
	if err != nil {
		return err
	}
	var yes []bool
	var ours, ships []float64
	for _, s := range dev {
		ours, yes = append(ours, m.Scores(nil, s.text)[0]), append(yes, !s.benign)
		ships = append(ships, a.ships.Scores(nil, s.text)[0]) // its first head is the same
	}
	add := func(name string, of []float64) {
		f, versus := train.Measure(of, yes, 0.5), "–"
		only, back := 0, 0
		for i := range of {
			switch right, wrong := (of[i] >= 0.5) == yes[i], (ours[i] >= 0.5) != yes[i]; {
			case right && wrong:
				only++
			case !right && !wrong:
				back++
			}
		}
		if only+back > 0 {
			versus = fmt.Sprintf("%d : %d, p = %.2g", only, back, train.McNemar(only, back))
		}
		t.Rows = append(t.Rows, row{Keys: []string{name, train.Share(f.Hits+f.No-f.Alarms, f.Yes+f.No), versus},
			Figures: []figure{newFigure("AUC", "", []float64{f.AUC}), newFigure("F1", "", []float64{f.F1()}), newFigure("calibration error", "", []float64{f.Calibration})}})
	}
	for _, p := range []struct {
		name string
		rows []int
	}{{"plain: each two characters in a row", []int{2}}, {"plain: characters and each two in a row", []int{1, 2}}} {
		m := learnPlain(cold, "discrimination", p.rows)
		var of []float64
		for _, s := range dev {
			of = append(of, m.probability(s.text))
		}
		add(p.name, of)
	}
	add("ours", ours)
	add("the model that ships, of all sets and registers", ships)
	t.Notes = []string{"Right answers of all, at one half; then the texts on which one of both is right, and how likely such a difference is between two that are equally good (McNemar's exact test). Plain: logistic regression over exact n-grams of the unfolded text as they are, no hashing, with the strength of its pull chosen on a tenth of the training file."}
	a.tables = append(a.tables, t)
	return nil
}

// ship trains the model that ships, reports it on what it has not learned from, and writes it where that is asked for.
func (a *accuracy) ship() error {
	from := a.all.of(shipping()...)
	m, err := a.fit(from, heads(), "fengsui shipped model 2; see docs/models/shipped.md for data, licences and scores")
	if err != nil {
		return err
	}
	a.ships = m
	var file bytes.Buffer
	if err := m.Write(&file); err != nil {
		return err
	}
	if a.model != "" {
		if err := os.WriteFile(a.model, file.Bytes(), 0o644); err != nil {
			return err
		}
	}
	fit, choose, report := from.parts()
	t := table{Part: "accuracy", Title: "The model that ships: on texts that it has not seen", Keys: append([]string{"head", "risk", "threshold"}, measured...)}
	own := append(report, a.all.of("COLD dev")...)
	for _, h := range m.Heads() {
		keys, figures := figuresOf(m, h.ID, own)
		t.Rows = append(t.Rows, row{Keys: append([]string{h.ID, h.Risk, fmt.Sprintf("%.3f", h.Threshold)}, keys...), Figures: figures})
	}
	fraud := slices.IndexFunc(t.Rows, func(r row) bool { return r.Keys[0] == "fraud" })
	keys, figures := figuresOf(m, "fraud", a.all.of("telecom fraud", "telecom ordinary"))
	t.Rows = append(t.Rows, row{Keys: append([]string{"fraud, on all of telecom"}, append(slices.Clone(t.Rows[fraud].Keys[1:3]), keys...)...), Figures: figures})
	t.Notes = []string{fmt.Sprintf("%d texts to learn from, %d to choose curves and thresholds by, %d to report on; file %.2f MB, in memory %.1f MB.", len(fit), len(choose), len(own), float64(file.Len())/1e6, float64(16<<18)/1e6)}
	a.tables = append(a.tables, t)

	t = table{Part: "accuracy", Title: "The model that ships: false alarms on harmless texts, each head at its threshold", Keys: []string{"set", "in the mixture", "any head"}}
	for _, h := range m.Heads() {
		t.Keys = append(t.Keys, h.ID)
	}
	unseen := append(report.benign(), a.all.of("COLD dev", "CValues", "XSTest safe", "telecom ordinary").benign()...)
	for _, set := range []string{"BELLE", "BELLE answers", "CValues", "ChineseHarm", "JADE safe answers", "telecom ordinary", "NotInject", "XSTest safe", "SWSR", "COLD dev"} {
		mixed := "no"
		for _, name := range shipping() {
			if name == set || name+" dev" == set {
				mixed = "yes, other texts"
			}
		}
		t.Rows = append(t.Rows, row{Keys: append([]string{set, mixed}, alarms(m, unseen.of(set))...)})
	}
	t.Notes = []string{"Texts of which the set says that nothing is wrong (ChineseHarm: 不违规; COLD, SWSR: not offensive, though the subjects are the same).", "Any head: texts on which at least one head alarms, with the 95 % interval by Wilson; then each head by itself."}
	a.tables = append(a.tables, t)
	return nil
}

// alarms counts the texts on which any head, and each head, reaches its threshold.
func alarms(m *classify.Model, on mixture) []string {
	list := m.Heads()
	each, anyHead := make([]int, len(list)), 0
	for _, s := range on {
		some := false
		for h, p := range m.Scores(nil, s.text) {
			if p >= list[h].Threshold {
				each[h]++
				some = true
			}
		}
		if some {
			anyHead++
		}
	}
	out := []string{train.Share(anyHead, len(on))}
	for _, n := range each {
		out = append(out, fmt.Sprint(n))
	}
	return out
}

// leftOut trains the mixture without one register and counts the false alarms on all of that register.
func (a *accuracy) leftOut() error {
	t := table{Part: "accuracy", Title: "False alarms on a register that the mixture was trained without", Keys: []string{"register left out", "any head"}}
	for _, q := range questions() {
		t.Keys = append(t.Keys, q.id)
	}
	for _, out := range [][]string{{"BELLE", "BELLE answers"}, {"JADE safe answers"}, {"NotInject"}} {
		m, err := a.fit(a.all.of(shipping()...).without(out...), heads(), "")
		if err != nil {
			return err
		}
		a.say("       without %s", strings.Join(out, ", "))
		for _, set := range out {
			t.Rows = append(t.Rows, row{Keys: append([]string{set}, alarms(m, a.all.of(set))...)})
		}
	}
	a.tables = append(a.tables, t)
	return nil
}

// plainModel is logistic regression over exact n-grams, to compare with.
type plainModel struct {
	rows    []int
	index   map[string]int
	weights []float64
	bias    float64
}

func (m *plainModel) features(text string, learn bool) []int {
	runes := []rune(text)
	seen := map[int]bool{}
	var out []int
	for _, n := range m.rows {
		for i := 0; i+n <= len(runes); i++ {
			gram := string(runes[i : i+n])
			at, known := m.index[gram]
			if !known && learn {
				at, known = len(m.index), true
				m.index[gram] = at
			}
			if known && !seen[at] {
				seen[at] = true
				out = append(out, at)
			}
		}
	}
	return out
}

func (m *plainModel) probability(text string) float64 {
	return m.of(m.features(text, false))
}

func (m *plainModel) of(features []int) float64 {
	sum := m.bias
	for _, f := range features {
		sum += m.weights[f] / math.Sqrt(float64(len(features)))
	}
	return 1 / (1 + math.Exp(-sum))
}

// learnPlain minimises the loss by AdaGrad, for the pull that does best on a tenth of the samples.
func learnPlain(on mixture, head string, rows []int) *plainModel {
	m := &plainModel{rows: rows, index: map[string]int{}}
	want := []train.Head{{ID: head}}
	type text struct {
		features []int
		yes      float64
	}
	var fit, choose []text
	for _, learning := range []bool{true, false} {
		for _, s := range on {
			if (train.Part(s.text) != 7) != learning {
				continue
			}
			t := text{m.features(s.text, learning), float64(s.answers(want).Answer[0]+1) / 2}
			if learning {
				fit = append(fit, t)
			} else {
				choose = append(choose, t)
			}
		}
	}
	var best plainModel
	right := -1
	for _, pull := range []float64{0, 1e-6, 1e-5, 1e-4} {
		m.weights, m.bias = make([]float64, len(m.index)), 0
		squares := make([]float64, len(m.index))
		for range 10 {
			for _, t := range fit {
				slope := m.of(t.features) - t.yes
				for _, f := range t.features {
					g := slope/math.Sqrt(float64(len(t.features))) + pull*m.weights[f]
					squares[f] += g * g
					m.weights[f] -= 0.5 * g / math.Sqrt(squares[f]+1e-3)
				}
				m.bias -= 0.01 * slope
			}
		}
		n := 0
		for _, t := range choose {
			if (m.of(t.features) >= 0.5) == (t.yes == 1) {
				n++
			}
		}
		if n > right {
			best, right = *m, n
		}
	}
	return &best
}
