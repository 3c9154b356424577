// Package shipped holds the model that comes with Fengsui.
//
// What it was trained on, under which licences, how right it is and where it is
// not to be used stands in docs/models/shipped.md. `make model` makes it again
// from the public samples.
package shipped

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

//go:embed shipped.model
var file string

// Digest names the file, "sha256:" and hex.
var Digest = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(file))
	return "sha256:" + hex.EncodeToString(sum[:])
})

// Model reads the model once, in a few hundredths of a second, and keeps it.
var Model = sync.OnceValues(func() (*classify.Model, error) {
	return classify.Read(strings.NewReader(file))
})
