package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/fengsui/fengsui/internal/simulate"
)

// said is what a client made of an answer: per choice its text and finish, and
// everything that reached the client as it was on the wire.
type said struct {
	texts, finishes []string
	wire            string
	usage           openai.CompletionUsage
}

func params(prompt string, n int64) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: simulate.DefaultModelID, N: openai.Int(n),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

func whole(t *testing.T, c openai.Client, p openai.ChatCompletionNewParams) said {
	t.Helper()
	resp, err := c.Chat.Completions.New(soon(t), p)
	if err != nil {
		t.Fatalf("the client failed: %v", err)
	}
	s := said{wire: resp.RawJSON(), usage: resp.Usage}
	for _, ch := range resp.Choices {
		s.texts = append(s.texts, ch.Message.Content)
		s.finishes = append(s.finishes, ch.FinishReason)
	}
	return s
}

func streamed(t *testing.T, c openai.Client, p openai.ChatCompletionNewParams) said {
	t.Helper()
	p.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := c.Chat.Completions.NewStreaming(soon(t), p)
	defer func() { _ = stream.Close() }()
	var s said
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		chunk := stream.Current()
		s.wire += chunk.RawJSON() + "\n"
		if !acc.AddChunk(chunk) {
			t.Fatalf("the client's accumulator refuses an event: %s", chunk.RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatalf("the client's stream failed: %v", err)
	}
	for _, ch := range acc.Choices {
		s.texts = append(s.texts, ch.Message.Content)
		s.finishes = append(s.finishes, ch.FinishReason)
	}
	s.usage = acc.Usage
	return s
}

// ways are the two ways to ask.
func ways() map[string]func(*testing.T, openai.Client, openai.ChatCompletionNewParams) said {
	return map[string]func(*testing.T, openai.Client, openai.ChatCompletionNewParams) said{"whole": whole, "streamed": streamed}
}

// leaked is the longest part of secret, in runes, that occurs in wire; JSON
// escapes in wire are undone first.
func leaked(wire, secret string) int {
	var plain strings.Builder
	dec := json.NewDecoder(strings.NewReader(wire))
	for {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		if s, ok := tok.(string); ok {
			plain.WriteString(s + "\n")
		}
	}
	runes := []rune(secret)
	for n := len(runes); n > 0; n-- {
		for i := 0; i+n <= len(runes); i++ {
			if strings.Contains(plain.String(), string(runes[i:i+n])) {
				return n
			}
		}
	}
	return 0
}

func TestBenignAnswersEqualThoseOfTheUpstream(t *testing.T) {
	h := build(t, simulate.Options{})
	through, direct := client(t, h.gateway, h.guarded), client(t, h.upstream, upstreamKey)
	for _, prompt := range []string{
		"今天天气怎么样？", "番茄炒蛋怎么做？", "写一段 golang 代码", "What is 12 * 7?", "show me some python code", "随便聊聊 😀",
	} {
		for _, n := range []int64{1, 3} {
			for _, runes := range cuts() {
				h.model.SetChunkRunes(runes)
				for way, ask := range ways() {
					want, got := ask(t, direct, params(prompt, n)), ask(t, through, params(prompt, n))
					if len(got.texts) != int(n) || !reflect.DeepEqual(got.texts, want.texts) || !reflect.DeepEqual(got.finishes, want.finishes) {
						t.Errorf("%s, n=%d, cut by %d: %q %v, want %q %v", way, n, runes, got.texts, got.finishes, want.texts, want.finishes)
					}
					if got.usage.TotalTokens != want.usage.TotalTokens || got.usage.TotalTokens == 0 {
						t.Errorf("%s: usage %v, want %v", way, got.usage.TotalTokens, want.usage.TotalTokens)
					}
				}
			}
		}
	}
}

func TestTheUpstreamGetsItsOwnKeyAndNeverTheClients(t *testing.T) {
	h := build(t, simulate.Options{})
	whole(t, client(t, h.gateway, h.guarded), params("今天天气怎么样？", 1))
	calls := h.model.Calls()
	if len(calls) != 1 || calls[0].Header.Get("Authorization") != "Bearer "+upstreamKey {
		t.Fatalf("%d upstream calls", len(calls))
	}
	for name, values := range calls[0].Header {
		if strings.Contains(fmt.Sprint(values), h.guarded) {
			t.Errorf("the client's key went upstream in %s", name)
		}
	}
	if bytes.Contains(calls[0].Body, []byte(h.guarded)) {
		t.Error("the client's key went upstream in the body")
	}
}

// masked cases: what the model says, what must arrive, and the part of it of
// which nothing may arrive anywhere on the wire.
func maskedCases() map[string]struct{ model, want, secret string } {
	stars := func(s string) string { return strings.Repeat("*", utf8.RuneCountInString(s)) }
	id, card := simulate.SpecimenIdentityNumber, simulate.SpecimenBankCardNumber
	return map[string]struct{ model, want, secret string }{
		"term in the middle": {"开头" + maskedTerm + "结尾", "开头" + stars(maskedTerm) + "结尾", maskedTerm},
		"term alone":         {maskedTerm, stars(maskedTerm), maskedTerm},
		"term twice":         {maskedTerm + maskedTerm, stars(maskedTerm + maskedTerm), maskedTerm},
		"replaced term":      {"开头" + replacedTerm + "结尾", "开头" + replacement + "结尾", replacedTerm},
		"identity number":    {"号码是 " + id + "，请查收。", "号码是 " + stars(id) + "，请查收。", id[3:15]},
		"card at the end":    {"卡号：" + card, "卡号：" + stars(card), card[:12]},
	}
}

func TestAMaskedTermOrNumberLeaksNoSymbolHoweverTheUpstreamCuts(t *testing.T) {
	h := build(t, simulate.Options{})
	guarded, open := client(t, h.gateway, h.guarded), client(t, h.gateway, h.open)
	for name, tc := range maskedCases() {
		h.says(t, simulate.Fault{Text: tc.model})
		for _, runes := range cuts() {
			h.model.SetChunkRunes(runes)
			for way, ask := range ways() {
				got := ask(t, guarded, params("请说一句", 2))
				for i := range got.texts {
					if got.texts[i] != tc.want || got.finishes[i] != "stop" {
						t.Errorf("%s, %s, cut by %d, choice %d: %q %s, want %q", name, way, runes, i, got.texts[i], got.finishes[i], tc.want)
					}
				}
				if n := leaked(joinChannels(t, got.wire), tc.secret); n > 0 {
					t.Errorf("%s, %s, cut by %d: %d symbols of it came out", name, way, runes, n)
				}
				if n := leaked(got.wire, tc.secret); n > 5 { // ids may share a few digits by chance
					t.Errorf("%s, %s, cut by %d: %d symbols of it are on the wire", name, way, runes, n)
				}
				// The negative control: with the rules emptied, the same comes through.
				bare := ask(t, open, params("请说一句", 2))
				if len(bare.texts) != 2 || bare.texts[0] != tc.model || bare.texts[1] != tc.model {
					t.Errorf("%s, %s, cut by %d: without rules %q arrived", name, way, runes, bare.texts)
				}
				if leaked(joinChannels(t, bare.wire), tc.secret) != utf8.RuneCountInString(tc.secret) {
					t.Errorf("%s, %s: the leak check does not see a leak", name, way)
				}
			}
		}
	}
}

func TestAMaskedTermLeaksThroughNoOtherChannel(t *testing.T) {
	h := build(t, simulate.Options{})
	guarded, open := client(t, h.gateway, h.guarded), client(t, h.gateway, h.open)
	tools := func(p openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
		p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "echo"})}
		return p
	}
	for _, channel := range []simulate.Channel{simulate.ChannelReasoning, simulate.ChannelRefusal, simulate.ChannelTool} {
		h.says(t, simulate.Fault{Text: "开头" + maskedTerm + "结尾", Channel: channel})
		for _, runes := range cuts() {
			h.model.SetChunkRunes(runes)
			for way, ask := range ways() {
				if got := ask(t, guarded, tools(params("请说一句", 1))); leaked(joinChannels(t, got.wire), maskedTerm) > 0 {
					t.Errorf("%s, %s, cut by %d: the term is on the wire", channel, way, runes)
				}
				if bare := ask(t, open, tools(params("请说一句", 1))); leaked(joinChannels(t, bare.wire), maskedTerm) != utf8.RuneCountInString(maskedTerm) {
					t.Errorf("%s, %s, cut by %d: without rules the term did not arrive: %s", channel, way, runes, bare.wire)
				}
			}
		}
	}
}

// joinChannels gives the model's words in all documents on the wire as a JSON
// array of strings, one per choice and channel, so that cutting hides nothing.
func joinChannels(t *testing.T, wire string) string {
	t.Helper()
	type part struct {
		Content, Refusal string
		Reasoning        string `json:"reasoning_content"`
		ToolCalls        []struct {
			Function struct{ Arguments string }
		} `json:"tool_calls"`
	}
	joined := map[string]string{}
	dec := json.NewDecoder(strings.NewReader(wire))
	for dec.More() {
		var doc struct {
			Choices []struct {
				Index          int
				Message, Delta part
			}
		}
		if err := dec.Decode(&doc); err != nil {
			t.Fatalf("on the wire: %v", err)
		}
		for _, ch := range doc.Choices {
			for _, p := range []part{ch.Message, ch.Delta} {
				add := func(channel, text string) { joined[fmt.Sprint(channel, ch.Index)] += text }
				add("content", p.Content)
				add("refusal", p.Refusal)
				add("reasoning", p.Reasoning)
				for _, c := range p.ToolCalls {
					add("arguments", c.Function.Arguments)
				}
			}
		}
	}
	out, err := json.Marshal(slices.Collect(maps.Values(joined)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Token probabilities spell out what a mask covers, so they are refused as a whole.
func TestLogprobsAreRefusedWithTheClientsOwnError(t *testing.T) {
	h := build(t, simulate.Options{})
	h.says(t, simulate.Fault{Text: "开头" + maskedTerm + "结尾"})
	p := params("请说一句", 1)
	p.Logprobs = openai.Bool(true)
	for way, ask := range ways() {
		if direct := ask(t, client(t, h.upstream, upstreamKey), p); !strings.Contains(direct.wire, `"token":`) {
			t.Fatalf("%s: the model gives no logprobs, so nothing is shown", way)
		}
	}
	h.model.ForgetCalls()
	c := client(t, h.gateway, h.guarded)
	_, err := c.Chat.Completions.New(soon(t), p)
	stream := c.Chat.Completions.NewStreaming(soon(t), p)
	for stream.Next() {
		t.Errorf("an event came: %s", stream.Current().RawJSON())
	}
	for way, err := range map[string]error{"whole": err, "streamed": stream.Err()} {
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Code != "logprobs_not_supported" {
			t.Errorf("%s: %v", way, err)
		}
	}
	if n := len(h.model.Calls()); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

func TestABlockedAnswerEndsInAFinishThatTheClientParses(t *testing.T) {
	h := build(t, simulate.Options{})
	guarded, open := client(t, h.gateway, h.guarded), client(t, h.gateway, h.open)
	const head, tail = "这是无害的开头。", "这是不该出现的后文。"
	h.says(t, simulate.Fault{Text: head + blockedTerm + tail})
	for _, runes := range cuts() {
		h.model.SetChunkRunes(runes)
		for way, ask := range ways() {
			for _, n := range []int64{1, 3} {
				got := ask(t, guarded, params("请说一句", n))
				if len(got.finishes) == 0 {
					t.Fatalf("%s, cut by %d: no choice arrived", way, runes)
				}
				for i, finish := range got.finishes {
					if finish != "content_filter" {
						t.Errorf("%s, cut by %d, choice %d of %d: finish %q", way, runes, i, n, finish)
					}
					if strings.ContainsAny(strings.ReplaceAll(got.texts[i], head, ""), blockedTerm) || strings.Contains(got.texts[i], tail) {
						t.Errorf("%s, cut by %d, choice %d of %d: %q went out", way, runes, i, n, got.texts[i])
					}
				}
			}
			if bare := ask(t, open, params("请说一句", 1)); bare.texts[0] != head+blockedTerm+tail || bare.finishes[0] != "stop" {
				t.Errorf("%s, cut by %d: without rules %q %v arrived", way, runes, bare.texts, bare.finishes)
			}
		}
	}
}

func TestOneBlockedChoiceAmongSeveralNeverGoesOut(t *testing.T) {
	h := build(t, simulate.Options{ChunkRunes: 2})
	one := 1
	h.says(t, simulate.Fault{Text: "开头" + blockedTerm + "后文", Choice: &one})
	for way, ask := range ways() {
		got := ask(t, client(t, h.gateway, h.guarded), params("今天天气怎么样？", 3))
		if !strings.Contains(fmt.Sprint(got.finishes), "content_filter") {
			t.Errorf("%s: finishes %v", way, got.finishes)
		}
		for i, text := range got.texts {
			if strings.Contains(text, "违禁") || strings.Contains(text, "后文") {
				t.Errorf("%s: choice %d: %q", way, i, text)
			}
		}
		bare := ask(t, client(t, h.gateway, h.open), params("今天天气怎么样？", 3))
		if len(bare.texts) != 3 || bare.texts[1] != "开头"+blockedTerm+"后文" {
			t.Errorf("%s: without rules %q arrived", way, bare.texts)
		}
	}
}

func TestABlockedPromptNeverReachesTheUpstream(t *testing.T) {
	h := build(t, simulate.Options{})
	for way, ask := range ways() {
		h.model.ForgetCalls()
		got := ask(t, client(t, h.gateway, h.guarded), params("请解释"+blockedTerm, 1))
		if len(got.finishes) != 1 || got.finishes[0] != "content_filter" {
			t.Errorf("%s: finishes %v", way, got.finishes)
		}
		if n := len(h.model.Calls()); n != 0 {
			t.Errorf("%s: %d calls reached the upstream", way, n)
		}
		if bare := ask(t, client(t, h.gateway, h.open), params("请解释"+blockedTerm, 1)); bare.finishes[0] != "stop" || len(h.model.Calls()) != 1 {
			t.Errorf("%s: without rules: %v, %d calls", way, bare.finishes, len(h.model.Calls()))
		}
	}
}

func TestTheUpstreamCallIsCancelledUponABlock(t *testing.T) {
	h := build(t, simulate.Options{ChunkDelay: 2 * time.Millisecond, ChunkRunes: 2})
	tail := strings.Repeat("很长的后文。", 1000) // 3000 events, six seconds
	h.says(t, simulate.Fault{Text: "开头" + blockedTerm + tail})
	began := time.Now()
	got := streamed(t, client(t, h.gateway, h.guarded), params("请说一句", 1))
	if got.finishes[0] != "content_filter" {
		t.Errorf("finishes %v", got.finishes)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the client waited %v for its finish", took)
	}
	for deadline := time.Now().Add(2 * time.Second); !h.model.Calls()[0].Ended; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the upstream still talks")
		}
	}
	if c := h.model.Calls()[0]; !c.Cancelled || c.Events > 500 {
		t.Errorf("cancelled %v after %d events", c.Cancelled, c.Events)
	}
}

func TestEndpointsThatAreNotInspectedRaiseTheClientsOwnError(t *testing.T) {
	h := build(t, simulate.Options{})
	c := client(t, h.gateway, h.guarded)
	calls := map[string]func(context.Context) error{
		"embeddings": func(ctx context.Context) error {
			_, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "m", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
			return err
		},
		"images": func(ctx context.Context) error {
			_, err := c.Images.Generate(ctx, openai.ImageGenerateParams{Prompt: "x"})
			return err
		},
		"speech": func(ctx context.Context) error {
			_, err := c.Audio.Speech.New(ctx, openai.AudioSpeechNewParams{Model: "m", Input: "x"})
			return err
		},
		"transcriptions": func(ctx context.Context) error {
			_, err := c.Audio.Transcriptions.New(ctx, openai.AudioTranscriptionNewParams{Model: "m", File: strings.NewReader("x")})
			return err
		},
		"responses": func(ctx context.Context) error {
			_, err := c.Responses.New(ctx, responses.ResponseNewParams{Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("x")}})
			return err
		},
		"completions": func(ctx context.Context) error {
			_, err := c.Completions.New(ctx, openai.CompletionNewParams{Model: "m", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("x")}})
			return err
		},
	}
	for name, call := range calls {
		var refused *openai.Error
		if err := call(soon(t)); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		} else if refused.StatusCode/100 != 4 || refused.Code != refusedEndpoint || refused.Message == "" {
			t.Errorf("%s: status %d, code %q, message %q", name, refused.StatusCode, refused.Code, refused.Message)
		}
	}
	if n := len(h.model.Calls()); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

func TestAWrongKeyRaisesTheClientsOwnErrorAndReachesNobody(t *testing.T) {
	h := build(t, simulate.Options{})
	for _, key := range []string{"fsk-0000000000000000000000000000000000000000000", upstreamKey} {
		c := client(t, h.gateway, key)
		_, err := c.Chat.Completions.New(soon(t), params("hi", 1))
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 401 || refused.Code == "" {
			t.Errorf("%v", err)
		}
	}
	if n := len(h.model.Calls()); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}
