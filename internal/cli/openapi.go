package cli

import (
	"io"

	"github.com/fengsui/fengsui/internal/api"
)

// OpenapiCmd prints the API's document; the console's types are made from it.
type OpenapiCmd struct{}

// Run writes the document as JSON.
func (OpenapiCmd) Run(out io.Writer) error {
	doc, err := api.Document()
	if err != nil {
		return err
	}
	_, err = out.Write(append(doc, '\n'))
	return err
}
