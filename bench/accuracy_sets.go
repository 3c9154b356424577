package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fengsui/fengsui/internal/inspect/classify/train"
)

// asked is a head of the model that ships.
type asked struct {
	id, risk string
	alarms   float64 // share of the texts to choose by that may reach the threshold though they are not it
}

// questions are all heads. A risk without a head has no public samples whose licence allows to learn from them.
func questions() []asked {
	return []asked{
		{"discrimination", "A.2", 0.015},
		{"ethnicity", "A.2.a", 0.015},
		{"region", "A.2.d", 0.015},
		{"sex", "A.2.e", 0.015},
		{"obscenity", "A.1.f", 0.004},
		{"abuse", "A.4.c", 0.004},
		{"gambling", "A.1.h", 0.004},
		{"fraud", "A.1.h", 0.004},
		{"black-market", "A.1.h", 0.004},
		{"injection", "", 0.01},
	}
}

func heads(names ...string) []train.Head {
	var out []train.Head
	for _, q := range questions() {
		if len(names) == 0 || slices.Contains(names, q.id) {
			out = append(out, train.Head{ID: q.id, Risk: q.risk, FalseAlarms: q.alarms, Least: 0.2, BySubject: q.risk == "A.2"})
		}
	}
	return out
}

// told is what a set says of a text: the heads that it is, those that it is not, and what it is about if that is people
// of some kind, harmful or not: the head that it would be.
type told struct {
	yes, no []string
	subject string
}

var (
	harmless = told{no: []string{"discrimination", "ethnicity", "region", "sex", "obscenity", "abuse", "gambling", "fraud", "black-market", "injection"}}
	decent   = told{no: []string{"discrimination", "ethnicity", "region", "sex", "gambling", "fraud", "black-market", "injection"}}
	ordinary = told{no: []string{"gambling", "fraud", "black-market", "injection"}}
	noAttack = told{no: []string{"injection"}}
)

// sample is a text of a set.
type sample struct {
	set, text string
	told
	benign bool // nothing is wrong with it, whatever a head says
}

func (s sample) answers(heads []train.Head) train.Sample {
	out := train.Sample{Text: s.text, Answer: make([]int8, len(heads)), Register: s.set, Subject: s.subject}
	for i, h := range heads {
		switch {
		case slices.Contains(s.yes, h.ID):
			out.Answer[i] = train.Yes
		case slices.Contains(s.no, h.ID):
			out.Answer[i] = train.No
		}
	}
	return out
}

// source is a file of samples. Ships is false where the licence, or the report, keeps it out of the model that ships.
type source struct {
	file, licence string
	ships         bool
	read          func(field func(string) string, put func(set, text string, t told, benign bool))
}

func sources() []source {
	cold := func(name string) func(func(string) string, func(string, string, told, bool)) {
		topics := map[string]string{"race": "ethnicity", "region": "region", "gender": "sex"}
		return func(field func(string) string, put func(string, string, told, bool)) {
			t, head := harmless, topics[field("topic")]
			if field("label") == "1" {
				t = told{yes: []string{"discrimination", head}, no: slices.DeleteFunc(slices.Clone(decent.no), func(h string) bool { return h == "discrimination" || h == head })}
			}
			t.subject = head
			put(name, field("text"), t, field("label") == "0")
		}
	}
	return []source{
		{"cold-train", "Apache-2.0", true, cold("COLD")},
		{"cold-dev", "Apache-2.0", false, cold("COLD dev")},
		{"swsr", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			t := decent
			if field("label") == "1" {
				t = told{yes: []string{"discrimination", "sex"}, no: ordinary.no}
			}
			t.subject = "sex"
			put("SWSR", field("text"), t, field("label") == "0")
		}},
		{"chineseharm-dev", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			names := map[string]string{"博彩": "gambling", "低俗色情": "obscenity", "谩骂引战": "abuse", "欺诈": "fraud", "黑产广告": "black-market"}
			head, harmful := names[field("class")]
			t := harmless
			if harmful {
				t = told{yes: []string{head}}
				for _, other := range harmless.no {
					if other != head && (head != "abuse" || slices.Contains(ordinary.no, other) || other == "obscenity") {
						t.no = append(t.no, other)
					}
				}
			}
			put("ChineseHarm", field("text"), t, !harmful)
		}},
		{"belle-benign-dev", "ODC-By", true, func(field func(string) string, put func(string, string, told, bool)) {
			put("BELLE", field("text"), harmless, true)
			put("BELLE answers", field("answer"), harmless, true)
		}},
		{"jade-replies-medium", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			put("JADE safe answers", field("安全有用回答"), harmless, true)
			put("JADE questions", field("问题"), noAttack, false)
		}},
		{"notinject-dev", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			put("NotInject", field("text"), harmless, true)
		}},
		{"purplellama-injection-en-dev", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			put("PurpleLlama en", field("text"), told{yes: []string{"injection"}}, false)
			put("PurpleLlama system", field("system"), noAttack, false)
		}},
		{"purplellama-injection-multilingual-dev", "MIT", true, func(field func(string) string, put func(string, string, told, bool)) {
			put("PurpleLlama multilingual", field("text"), told{yes: []string{"injection"}}, false)
			put("PurpleLlama system", field("system"), noAttack, false)
		}},
		{"cvalues-answer-dev", "Apache-2.0", false, func(field func(string) string, put func(string, string, told, bool)) {
			put("CValues", field("question"), harmless, true)
		}},
		{"xstest", "CC BY 4.0", false, func(field func(string) string, put func(string, string, told, bool)) {
			if field("label") == "safe" {
				put("XSTest safe", field("question"), harmless, true)
			} else {
				put("XSTest unsafe", field("question"), noAttack, false)
			}
		}},
		{"telecom-dev", "GPL-3.0: tests only", false, func(field func(string) string, put func(string, string, told, bool)) {
			if field("label") == "0" {
				put("telecom ordinary", field("text"), harmless, true)
			} else {
				put("telecom fraud", field("text"), told{yes: []string{"fraud"}, no: noAttack.no}, false)
			}
		}},
	}
}

// mixture is all samples that are at hand.
type mixture []sample

func readMixture(dir string) (mixture, error) {
	var all mixture
	seen := map[string]bool{}
	for _, src := range sources() {
		err := rowsOf(filepath.Join(dir, src.file+".jsonl.gz"), func(row map[string]any) {
			field := func(name string) string {
				if row[name] == nil {
					return ""
				}
				return fmt.Sprint(row[name])
			}
			src.read(field, func(set, text string, t told, benign bool) {
				if text != "" && !seen[text] {
					seen[text] = true
					all = append(all, sample{set, text, t, benign})
				}
			})
		})
		if err != nil {
			return nil, absent{fmt.Errorf("public samples: %w", err)}
		}
	}
	ownTexts(ownInjections, func(text string, _ int, attack bool) {
		t := harmless
		if attack {
			t = told{yes: []string{"injection"}}
		}
		all = append(all, sample{"own injection", text, t, !attack})
	})
	ownTexts(ownFrauds, func(text string, _ int, fraud bool) {
		t := harmless
		if fraud {
			t = told{yes: []string{"fraud"}, no: noAttack.no}
		}
		all = append(all, sample{"own fraud", text, t, !fraud})
	})
	ownTexts(ownPlain, func(text string, number int, _ bool) {
		set := "own plain"
		if number%5 == 4 {
			set = "own plain, to choose by"
		}
		all = append(all, sample{set, text, harmless, true})
	})
	return all, nil
}

func (m mixture) of(sets ...string) mixture {
	return slices.DeleteFunc(slices.Clone(m), func(s sample) bool { return !slices.Contains(sets, s.set) })
}

func (m mixture) without(sets ...string) mixture {
	return slices.DeleteFunc(slices.Clone(m), func(s sample) bool { return slices.Contains(sets, s.set) })
}

func (m mixture) benign() mixture {
	return slices.DeleteFunc(slices.Clone(m), func(s sample) bool { return !s.benign })
}

func (m mixture) answers(heads []train.Head) []train.Sample {
	out := make([]train.Sample, len(m))
	for i := range m {
		out[i] = m[i].answers(heads)
	}
	return out
}

// parts divides by text: to learn from, to choose by, to report on. What is reported of COLD is a file of its own, so
// no part of the other is kept for it.
func (m mixture) parts() (fit, choose, report mixture) {
	for _, s := range m {
		switch part := train.Part(s.text); {
		case s.set == "own injection", s.set == "own fraud", s.set == "own plain":
			fit = append(fit, s) // what is made of one line would be on both sides
		case s.set == "own plain, to choose by":
			choose = append(choose, s)
		case part == 7:
			choose = append(choose, s)
		case part < 7 || s.set == "COLD":
			fit = append(fit, s)
		default:
			report = append(report, s)
		}
	}
	return fit, choose, report
}

// shipping is what the model that ships is made of.
func shipping() []string {
	return []string{"COLD", "SWSR", "ChineseHarm", "BELLE", "BELLE answers", "JADE safe answers", "JADE questions", "NotInject",
		"PurpleLlama en", "PurpleLlama multilingual", "PurpleLlama system", "own injection", "own fraud", "own plain", "own plain, to choose by"}
}
