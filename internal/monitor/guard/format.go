package guard

import (
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/posture"
)

// format is how a guard is asked and answers.
type format struct {
	turns  bool // it has a prompt of its own and takes the conversation as it was
	tokens int  // that an answer takes at most
	read   func(answer string) (Opinion, bool)
}

// formatOf gives a format by its name in a posture.
func formatOf(name string) format {
	switch name {
	case posture.LlamaGuard:
		return format{true, 64, readLlama}
	case posture.Qwen3Guard:
		return format{true, 96, readQwen}
	}
	return format{false, 16, opinion}
}

// llamaClasses are the hazards of Llama Guard and the words that say the same; unsafe where none does for sure.
var llamaClasses = map[string]string{
	"S1": "violence", "S2": "crime", "S3": "sexual", "S4": "sexual", "S5": "abuse", "S6": unsafe, "S7": "privacy", "S8": "rights", "S9": "crime",
	"S10": "discrimination", "S11": "self_harm", "S12": "sexual", "S13": "falsehood", "S14": unsafe,
}

// readLlama takes "safe", or "unsafe" and on the next line the hazards, with commas between.
func readLlama(answer string) (Opinion, bool) {
	first, rest, more := strings.Cut(answer, "\n")
	switch {
	case first == safe && !more:
		return opinion(safe)
	case first == unsafe && more:
		return worst(strings.Split(rest, ","), llamaClasses)
	}
	return Opinion{}, false
}

var qwenClasses = map[string]string{
	"Violent": "violence", "Non-violent Illegal Acts": "crime", "Sexual Content or Sexual Acts": "sexual", "PII": "privacy",
	"Personally Identifiable Information": "privacy", "Suicide & Self-Harm": "self_harm", "Unethical Acts": unsafe,
	"Politically Sensitive Topics": unsafe, "Copyright Violation": "rights", "Jailbreak": "injection",
}

// readQwen takes "Safety: …", "Categories: …" and, of an answer of a model, "Refusal: …", each on a line. Controversial is unsafe: the
// text was noticed before.
func readQwen(answer string) (Opinion, bool) {
	lines := strings.Split(answer, "\n")
	if len(lines) == 3 && !slices.Contains([]string{"Refusal: Yes", "Refusal: No"}, strings.TrimSpace(lines[2])) || len(lines) < 2 || len(lines) > 3 {
		return Opinion{}, false
	}
	classes, ok := strings.CutPrefix(strings.TrimSpace(lines[1]), "Categories: ")
	if !ok {
		return Opinion{}, false
	}
	switch strings.TrimSpace(lines[0]) {
	case "Safety: Safe":
		if classes == "None" {
			return opinion(safe)
		}
	case "Safety: Unsafe", "Safety: Controversial":
		if classes == "None" {
			return class(unsafe)
		}
		return worst(strings.Split(classes, ","), qwenClasses)
	}
	return Opinion{}, false
}

// worst is the opinion of the first class that has a word of its own. One class that nobody knows is no opinion.
func worst(classes []string, words map[string]string) (Opinion, bool) {
	word := unsafe
	for _, c := range classes {
		w, ok := words[strings.TrimSpace(c)]
		if !ok {
			return Opinion{}, false
		}
		if word == unsafe {
			word = w
		}
	}
	return class(word)
}

// conversation is a question as the turns that it is about, for a guard with a prompt of its own. They take turns and begin with the user,
// because its template refuses others; marks of templates are broken, so that no text ends its turn.
func conversation(q Question) (list []chatMessage) {
	for _, t := range append(slices.Clone(q.Before), Turn{q.Text, q.Said}) {
		role, text := "user", strings.ReplaceAll(strings.ToValidUTF8(t.Text, "\uFFFD"), "<|", "< |")
		if t.Said {
			role = "assistant"
		}
		switch n := len(list); {
		case n == 0 && t.Said:
			list = append(list, chatMessage{"user", "…"}, chatMessage{role, text})
		case n > 0 && list[n-1].Role == role:
			list[n-1].Content += "\n" + text
		default:
			list = append(list, chatMessage{role, text})
		}
	}
	return list
}
