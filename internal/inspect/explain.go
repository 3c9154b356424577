package inspect

// Account says how a rule, or a term with contexts, came to its decision about
// one place.
type Account struct {
	RuleID     string        `json:"id"`
	Start, End int           `json:"-"`       // bytes, as in [Match]
	Outcome    string        `json:"outcome"` // hit, no, or open where a block ended the text before it was decided
	Parts      []PartAccount `json:"parts"`   // in the order of the condition
}

// PartAccount says what became of one part of a condition until all of it was
// decided.
type PartAccount struct {
	Part  string `json:"part"`
	Found int    `json:"found"` // what stood there, not counted beyond Need
	Need  int    `json:"need"`
	Holds string `json:"holds"` // yes, no, or open where the decision did not need it
}

var answerNames = map[answer]string{yes: "yes", no: "no", open: "open"}

// Explain inspects a whole text and accounts for each place at which a rule
// with a condition could have hit, in the order of the decisions.
func (e *Engine) Explain(text string) []Account {
	accounts := []Account{}
	s := e.NewStream()
	s.account = func(c *candidate, verdict answer) {
		a := Account{RuleID: e.rules[c.rule].id, Start: c.start, End: c.end, Outcome: answerNames[verdict]}
		if verdict == yes {
			a.Outcome = "hit"
		}
		for i := range e.rules[c.rule].when.parts {
			p := &e.rules[c.rule].when.parts[i]
			a.Parts = append(a.Parts, PartAccount{p.String(), int(c.counts[i]), p.count, answerNames[s.answers[i]]})
		}
		accounts = append(accounts, a)
	}
	s.Write(text)
	s.Close()
	return accounts
}
