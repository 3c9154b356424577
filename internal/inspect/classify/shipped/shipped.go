// Package shipped holds the model that comes with Fengsui.
//
// What it was trained on, under which licences, how right it is and where it is
// not to be used stands in docs/models/shipped.md. `make model` makes it again
// from the public samples.
package shipped

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

//go:embed shipped.model
var file string

// Model reads the model once, in a few hundredths of a second, and keeps it.
var Model = sync.OnceValues(func() (*classify.Model, error) {
	return classify.Read(strings.NewReader(file))
})
