package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// FaultName names a way in which the simulated model goes wrong.
type FaultName string

const (
	// FaultDiscrimination adds a mild stereotype sentence to answers about hiring, logic and the like.
	FaultDiscrimination FaultName = "discrimination"
	// FaultFalseMedicine claims that a drug that does not exist killed people in trials.
	FaultFalseMedicine FaultName = "false_medicine"
	// FaultPersonalData puts a specimen identity number and a test card number into the answer.
	FaultPersonalData FaultName = "personal_data"
	// FaultScripted answers with Fault.Text.
	FaultScripted FaultName = "scripted"
	// FaultStall falls silent in mid-answer and keeps the connection open.
	FaultStall FaultName = "stall"
	// FaultDie cuts the connection in mid-answer.
	FaultDie FaultName = "die"
	// FaultSlow waits before the first byte.
	FaultSlow FaultName = "slow"
	// FaultError500 answers with status 500.
	FaultError500 FaultName = "error500"
	// FaultError429 answers with status 429 and Retry-After: 7.
	FaultError429 FaultName = "error429"
	// FaultGibberishEvent sends lines that are no server-sent events.
	FaultGibberishEvent FaultName = "gibberish_event"
	// FaultBadJSON sends well-formed events, or a body, whose JSON is broken.
	FaultBadJSON FaultName = "bad_json"
)

// What the content faults say. All of it is fictitious: a lexicon entry or a
// fact check can be written against these constants.
const (
	TriggerDiscrimination   = "女性不擅长逻辑"
	TriggerDiscriminationEN = "women are no good at logic"
	// FictitiousDrug does not exist.
	FictitiousDrug          = "安舒宁X"
	FictitiousDrugEN        = "Anshuning-X"
	TriggerFalseMedicine    = "安舒宁X害死了试药的病人"
	TriggerFalseMedicineEN  = "Anshuning-X killed patients who tested it"
	SpecimenIdentityNumber  = "11010519491231002X" // the specimen printed in GB 11643; checksum valid
	SpecimenBankCardNumber  = "6200000000000005"   // a payment sandbox's test number; Luhn valid
	defaultSlowDelay        = 3 * time.Second
	maxFaults, maxFaultText = 64, 64 << 10
)

// faultTopics are the words that bring a content fault up when it is not
// narrowed by Contains: nobody is told about women's logic when asking for soup.
var faultTopics = map[FaultName][]string{
	FaultDiscrimination: {"招聘", "面试", "简历", "岗位", "逻辑", "程序员", "编程", "女性", "hiring", "hire", "interview", "logic", "engineer"},
	FaultFalseMedicine:  {"安舒宁", "药", "副作用", "anshuning", "medicine", "drug", "side effect"},
	FaultPersonalData:   {"客户", "联系方式", "登记", "报名", "customer", "contact", "register"},
}

// FaultNames lists every fault there is.
func FaultNames() []FaultName {
	return []FaultName{
		FaultDiscrimination, FaultFalseMedicine, FaultPersonalData, FaultScripted, FaultStall,
		FaultDie, FaultSlow, FaultError500, FaultError429, FaultGibberishEvent, FaultBadJSON,
	}
}

// Channel is the part of an answer in which a content fault speaks.
type Channel string

const (
	ChannelContent   Channel = "content" // the default
	ChannelReasoning Channel = "reasoning_content"
	ChannelRefusal   Channel = "refusal"
	ChannelTool      Channel = "tool_arguments"
)

// Fault is one fault that is on. Which prompts it hits: those containing
// Contains (letter case ignored) if that is set; every prompt if Always; else,
// for the content faults, prompts about their usual topic, and for the others
// every prompt. The prompt is the text of the last user message.
type Fault struct {
	Name     FaultName `json:"name"`
	Contains string    `json:"contains,omitempty"`
	Always   bool      `json:"always,omitempty"`
	// Text is what FaultScripted says; no other fault takes one.
	Text string `json:"text,omitempty"`
	// Channel is where a content fault speaks; content when empty.
	Channel Channel `json:"channel,omitempty"`
	// Choice narrows a content fault to one choice, counted from 0.
	Choice *int `json:"choice,omitempty"`
	// DelayMS is how long FaultSlow waits (3000 when 0), in milliseconds.
	DelayMS int64 `json:"delay_ms,omitempty"`
}

// InvalidFaultError says which field of a fault cannot be.
type InvalidFaultError struct{ Field, Reason string }

func (e *InvalidFaultError) Error() string { return "fault: " + e.Field + " " + e.Reason }

func (f Fault) speaks() bool {
	switch f.Name {
	case FaultDiscrimination, FaultFalseMedicine, FaultPersonalData, FaultScripted:
		return true
	}
	return false
}

// Validate reports the first field that cannot be, as *InvalidFaultError.
func (f Fault) Validate() error {
	switch {
	case !slices.Contains(FaultNames(), f.Name):
		return &InvalidFaultError{"name", fmt.Sprintf("is %.40q, which is none of %v", string(f.Name), FaultNames())}
	case f.Always && f.Contains != "":
		return &InvalidFaultError{"always", "and contains exclude each other"}
	case (f.Text != "") != (f.Name == FaultScripted):
		return &InvalidFaultError{"text", "is for the scripted fault, which needs it"}
	case len(f.Text) > maxFaultText:
		return &InvalidFaultError{"text", fmt.Sprintf("is longer than %d bytes", maxFaultText)}
	case !slices.Contains([]Channel{"", ChannelContent, ChannelReasoning, ChannelRefusal, ChannelTool}, f.Channel):
		return &InvalidFaultError{"channel", fmt.Sprintf("is %.40q", string(f.Channel))}
	case f.Channel != "" && !f.speaks():
		return &InvalidFaultError{"channel", "is for faults that say something"}
	case f.Choice != nil && !f.speaks():
		return &InvalidFaultError{"choice", "is for faults that say something"}
	case f.Choice != nil && (*f.Choice < 0 || *f.Choice >= maxChoices):
		return &InvalidFaultError{"choice", fmt.Sprintf("is outside 0..%d", maxChoices-1)}
	case f.DelayMS != 0 && f.Name != FaultSlow:
		return &InvalidFaultError{"delay_ms", "is for the slow fault"}
	case f.DelayMS < 0 || f.DelayMS > 600_000:
		return &InvalidFaultError{"delay_ms", "is outside 0..600000"}
	}
	return nil
}

// hits says whether the fault concerns a prompt.
func (f Fault) hits(prompt string) bool {
	low := strings.ToLower(prompt)
	if f.Contains != "" {
		return strings.Contains(low, strings.ToLower(f.Contains))
	}
	topics := faultTopics[f.Name]
	return f.Always || topics == nil || slices.ContainsFunc(topics, func(t string) bool { return strings.Contains(low, t) })
}

// sentence is what a content fault says.
func (f Fault) sentence(zh bool) string {
	pick := func(z, e string) string {
		if zh {
			return z
		}
		return e
	}
	switch f.Name {
	case FaultDiscrimination:
		return pick("按老经验看，"+TriggerDiscrimination+"，这样的名额还是留给别人吧。",
			"Old hands will tell you that "+TriggerDiscriminationEN+", so give the seat to someone else.")
	case FaultFalseMedicine:
		return pick("内部消息："+TriggerFalseMedicine+"，厂家一直瞒着，家里有的话赶快扔掉。",
			"Word is that "+TriggerFalseMedicineEN+" and the maker hides it; throw yours away.")
	case FaultPersonalData:
		return pick("登记信息：身份证号 "+SpecimenIdentityNumber+"，银行卡号 "+SpecimenBankCardNumber+"。",
			"On file: identity number "+SpecimenIdentityNumber+", bank card "+SpecimenBankCardNumber+".")
	}
	return f.Text
}

// delay is how long a slow fault waits.
func (f Fault) delay() time.Duration {
	if f.DelayMS == 0 {
		return defaultSlowDelay
	}
	return time.Duration(f.DelayMS) * time.Millisecond
}

// faultBoard holds what is on. A request takes one view of it at its start.
type faultBoard struct {
	mu         sync.RWMutex
	on         []Fault
	chunkRunes int
}

// Inject switches a fault on, in place of one with the same name and Contains.
func (m *Model) Inject(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	on := slices.DeleteFunc(slices.Clone(m.faults.on), func(o Fault) bool { return o.Name == f.Name && o.Contains == f.Contains })
	if len(on) >= maxFaults {
		return &InvalidFaultError{"name", fmt.Sprintf("would be fault number %d; %d is the limit", len(on)+1, maxFaults)}
	}
	m.faults.on = append(on, f)
	return nil
}

// Fix switches off every fault of that name: the model is repaired.
func (m *Model) Fix(name FaultName) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.on = slices.DeleteFunc(slices.Clone(m.faults.on), func(o Fault) bool { return o.Name == name })
}

// SetFaults replaces all faults; nil repairs the model. On an error nothing changes.
func (m *Model) SetFaults(faults []Fault) error {
	if len(faults) > maxFaults {
		return &InvalidFaultError{"faults", fmt.Sprintf("are more than %d", maxFaults)}
	}
	for _, f := range faults {
		if err := f.Validate(); err != nil {
			return err
		}
	}
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.on = slices.Clone(faults)
	return nil
}

// Faults returns the faults that are on.
func (m *Model) Faults() []Fault {
	m.faults.mu.RLock()
	defer m.faults.mu.RUnlock()
	return slices.Clone(m.faults.on)
}

// SetChunkRunes changes Options.ChunkRunes for the answers to come.
func (m *Model) SetChunkRunes(n int) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.chunkRunes = n
}

// view is the part of the board that concerns one prompt.
func (m *Model) view(prompt string) (hit map[FaultName]Fault, speaking []Fault, chunkRunes int) {
	m.faults.mu.RLock()
	defer m.faults.mu.RUnlock()
	hit = map[FaultName]Fault{}
	for _, f := range m.faults.on {
		if !f.hits(prompt) {
			continue
		}
		if f.speaks() {
			speaking = append(speaking, f)
		} else {
			hit[f.Name] = f
		}
	}
	return hit, speaking, m.faults.chunkRunes
}

// faultDocument is the JSON of GET and PUT /faults. Available is
// only given; what a PUT says there is ignored.
type faultDocument struct {
	Faults []Fault `json:"faults"`
	// ChunkRunes is Options.ChunkRunes; a PUT without it leaves it as it is.
	ChunkRunes *int        `json:"chunk_runes,omitempty"`
	Available  []FaultName `json:"available,omitempty"`
}

func (m *Model) getFaults(w http.ResponseWriter, _ *http.Request) {
	m.faults.mu.RLock()
	doc := faultDocument{Faults: slices.Clone(m.faults.on), ChunkRunes: new(m.faults.chunkRunes), Available: FaultNames()}
	m.faults.mu.RUnlock()
	if doc.Faults == nil {
		doc.Faults = []Fault{}
	}
	writeJSON(w, http.StatusOK, doc)
}

func (m *Model) putFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err == nil {
		var doc faultDocument // what GET gave may come back as it is
		if err = jsonv2.Unmarshal(body, &doc, jsonv2.RejectUnknownMembers(true)); err == nil {
			switch {
			case doc.Faults == nil:
				err = errors.New("faults is missing; send an empty list to repair the model")
			case doc.ChunkRunes != nil && *doc.ChunkRunes < ChunkWhole:
				err = errors.New("chunk_runes is below -1")
			default:
				err = m.SetFaults(doc.Faults)
			}
			if err == nil && doc.ChunkRunes != nil {
				m.SetChunkRunes(*doc.ChunkRunes)
			}
		}
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request_error", "invalid_faults", err.Error())
		return
	}
	m.getFaults(w, r)
}

// writeJSON and writeError answer in OpenAI's shapes.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a caller that left is no concern of the model
}

func writeError(w http.ResponseWriter, status int, kind, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"message": message, "type": kind, "param": nil, "code": code,
	}})
}
