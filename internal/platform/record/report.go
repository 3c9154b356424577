package record

import "golang.org/x/mod/sumdb/tlog"

// Report is the outcome of verifying a record. Finding keys are in the catalog record.yaml.
type Report struct {
	OK             bool      `json:"ok"`
	Verdict        string    `json:"verdict"` // translation key
	Origin         string    `json:"origin"`
	Signer         string    `json:"signer"` // fingerprint of the newest signing key
	Pinned         bool      `json:"pinned"` // a fingerprint was given and the chain of keys holds it
	Epoch          int64     `json:"epoch"`
	Entries        int64     `json:"entries"`
	Root           string    `json:"root"`            // base64
	Signed         int64     `json:"signed"`          // entries under a signed checkpoint of any place
	CoveredOutside int64     `json:"covered_outside"` // entries under a checkpoint that was kept outside
	OutsideGiven   bool      `json:"outside_given"`
	Tail           *Range    `json:"tail,omitempty"` // entries that no checkpoint covers: outside ones if given, else the record's own
	Erased         int64     `json:"erased"`         // entries whose content was erased lawfully
	ErasedScopes   int64     `json:"erased_scopes"`
	Unopened       int64     `json:"unopened"` // payloads whose content was not compared with its commitment, for want of keys
	Restores       []Restore `json:"restores,omitempty"`
	Notices        []Finding `json:"notices,omitempty"`
	Problems       []Finding `json:"problems,omitempty"` // the first hundred
	ProblemCount   int64     `json:"problem_count"`
}

// Range is entries From to To, both included.
type Range struct {
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Count int64 `json:"count"`
}

// Restore is a new epoch: the record went on from an older state, and says so.
type Restore struct {
	Epoch  int64  `json:"epoch"`
	Index  int64  `json:"index"` // of the first entry of the epoch
	Reason string `json:"reason"`
	Lost   *Range `json:"lost,omitempty"` // entries that the named checkpoint covers and this record no longer has
}

// Finding is one thing found, as a translation key with its arguments (name, value, …).
type Finding struct {
	Key  string `json:"key"`
	Args []any  `json:"args,omitempty"`
}

// The verdicts.
const (
	VerdictOK            = "record.verdict.ok"
	VerdictUnknownSigner = "record.verdict.signer_unknown"
	VerdictBroken        = "record.verdict.broken"
)

const keptProblems = 100

func (r *Report) problem(key string, args ...any) {
	r.ProblemCount++
	if len(r.Problems) < keptProblems {
		r.Problems = append(r.Problems, Finding{"record.problem." + key, args})
	}
}

func (r *Report) notice(key string, args ...any) {
	r.Notices = append(r.Notices, Finding{"record.notice." + key, args})
}

func (r *Report) conclude(root tlog.Hash) {
	r.Root = root.String()
	covered := r.Signed
	if r.OutsideGiven {
		covered = r.CoveredOutside
	} else {
		r.notice("no_outside")
	}
	if covered < r.Entries {
		r.Tail = &Range{covered, r.Entries - 1, r.Entries - covered}
	}
	r.OK = r.ProblemCount == 0
	switch {
	case !r.OK:
		r.Verdict = VerdictBroken
	case r.Pinned:
		r.Verdict = VerdictOK
	default:
		r.Verdict = VerdictUnknownSigner
	}
}
