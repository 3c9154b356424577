package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"testing"
)

func TestLongAnswersToReadsArePackedAndSecretsAreNot(t *testing.T) {
	b := newBench(t)
	plain := b.call(t, "engineer", "GET", "/reference", "", "Accept-Encoding", "identity")
	got := b.call(t, "engineer", "GET", "/reference", "", "Accept-Encoding", "gzip")
	if plain.header.Get("Content-Encoding") != "" || got.header.Get("Content-Encoding") != "gzip" || got.header.Get("Vary") == "" || len(got.body) > len(plain.body)/3 {
		t.Fatalf("%d bytes plain (%v), %d packed (%v)", len(plain.body), plain.header, len(got.body), got.header)
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(got.body)))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(z); err != nil || string(raw) != plain.body {
		t.Errorf("unpacked it is something else (%v)", err)
	}
	if a := b.call(t, "engineer", "GET", "/me", "", "Accept-Encoding", "gzip"); a.status != 200 || a.header.Get("Content-Encoding") == "gzip" && len(a.body) < 200 {
		t.Errorf("a short answer: %d %v", a.status, a.header)
	}
	// What shows a secret once answers a POST, and any POST's answer stays plain, however long.
	a := b.call(t, "compliance", "POST", "/record/verify", "", "Accept-Encoding", "gzip")
	if a.header.Get("Content-Encoding") != "" || a.status == 200 && !json.Valid([]byte(a.body)) {
		t.Errorf("the answer to a POST: %d %v", a.status, a.header)
	}
}
