package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/fengsui/fengsui/internal/posture"
)

func (w *world) sdk() openai.Client {
	return openai.NewClient(option.WithBaseURL(w.url+"/v1"), option.WithAPIKey(w.keys["real"]), option.WithHTTPClient(w.client))
}

func params(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "demo", Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("be kind"), openai.UserMessage(text)}}
}

func accumulate(t *testing.T, w *world, text string) (*openai.ChatCompletionAccumulator, error) {
	t.Helper()
	s := w.sdk()
	stream := s.Chat.Completions.NewStreaming(t.Context(), params(text))
	defer func() { _ = stream.Close() }()
	acc := &openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatal("the SDK does not take a chunk")
		}
	}
	return acc, stream.Err()
}

func TestTheOfficialSDKReadsEveryKindOfAnswer(t *testing.T) {
	w := newWorld(t, answers("你好"))
	w.apply()
	s := w.sdk()
	res, err := s.Chat.Completions.New(t.Context(), params("问"))
	if err != nil || res.Choices[0].Message.Content != "你好" || res.Choices[0].FinishReason != "stop" || res.Usage.TotalTokens != 8 {
		t.Fatalf("%+v %v", res, err)
	}
	res, err = s.Chat.Completions.New(t.Context(), params(harmful))
	if err != nil || res.Choices[0].FinishReason != "content_filter" || res.Choices[0].Message.Content != "该内容无法展示。" {
		t.Fatalf("%+v %v", res, err)
	}
	w.upstream = pieces("你", "好")
	acc, err := accumulate(t, w, "问")
	if err != nil || acc.Choices[0].Message.Content != "你好" || acc.Choices[0].FinishReason != "stop" {
		t.Fatalf("%+v %v", acc, err)
	}
	w.upstream = pieces("你", harmful)
	acc, err = accumulate(t, w, "问")
	if err != nil || acc.Choices[0].Message.Content != "你" || acc.Choices[0].FinishReason != "content_filter" {
		t.Fatalf("%+v %v", acc, err)
	}
	if acc, err = accumulate(t, w, harmful); err != nil || acc.Choices[0].Message.Content != "该内容无法展示。" || acc.Choices[0].FinishReason != "content_filter" {
		t.Fatalf("%+v %v", acc, err)
	}
	w.upstream = streamsOut(contentEvent("你"), `{"error":{"message":"x"}}`)
	var api *openai.Error
	if _, err = accumulate(t, w, "问"); err == nil || !strings.Contains(err.Error(), "upstream_failed") {
		t.Fatalf("%v", err)
	}
	_, err = s.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "demo"})
	if !errors.As(err, &api) || api.StatusCode != 404 || api.Code != "endpoint_not_inspected" {
		t.Fatalf("%v", err)
	}
	if list, err := s.Models.List(t.Context()); err != nil || len(list.Data) != 1 || list.Data[0].ID != "demo" {
		t.Fatalf("%+v %v", list, err)
	}
	w.apply(posture.Order{Rung: posture.ServiceOffline, Params: posture.Params{Notice: posture.Text{ZH: "检修中"}}})
	before := w.g.Status().Counters.Requests
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = s.Chat.Completions.New(ctx, params("问"))
	if !errors.As(err, &api) || api.StatusCode != 503 || api.Code != "service_offline" || api.Message != "检修中 https://pages.example.com/notice/svc1" {
		t.Fatalf("%v", err)
	}
	if n := w.g.Status().Counters.Requests - before; n != 1 {
		t.Fatalf("the SDK tried %d times", n)
	}
}

func TestTheOfficialSDKReadsAStreamThatAnOrderCut(t *testing.T) {
	gone := make(chan struct{}, 1)
	w := newWorld(t, silent(gone, "开头"))
	w.apply()
	s := w.sdk()
	stream := s.Chat.Completions.NewStreaming(t.Context(), params("问"))
	defer func() { _ = stream.Close() }()
	acc := openai.ChatCompletionAccumulator{}
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	acc.AddChunk(stream.Current())
	w.apply(offline())
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || acc.Choices[0].Message.Content != "开头" || acc.Choices[0].FinishReason != "content_filter" {
		t.Fatalf("%+v %v", acc, err)
	}
	<-gone
}
