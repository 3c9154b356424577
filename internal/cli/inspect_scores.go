package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/classify"
	"github.com/fengsui/fengsui/internal/inspect/classify/shipped"
)

// inspectScore is what one head says of the whole text.
type inspectScore struct {
	Head        string  `json:"head"`
	Risk        string  `json:"risk"`
	Probability float64 `json:"probability"`
	Threshold   float64 `json:"threshold"`
	Reached     bool    `json:"reached"`
}

// model gives the model to ask, nil if none was asked for.
func (c *InspectCmd) model() (*classify.Model, error) {
	switch {
	case c.Model == "" && !c.Explain:
		return nil, nil
	case c.Model == "" || c.Model == "shipped":
		return shipped.Model()
	}
	file, err := os.Open(c.Model)
	if err != nil {
		return nil, err
	}
	m, err := classify.Read(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("--model: %s: %w", c.Model, err)
	}
	return m, nil
}

func observing(m *classify.Model) (list []inspect.Classifier) {
	for _, h := range m.Heads() {
		list = append(list, inspect.Classifier{ID: "head/" + h.ID, Model: m, Head: h.ID, Action: inspect.Observe})
	}
	return list
}

func scores(m *classify.Model, text string) (list []inspectScore) {
	probabilities := m.Scores(nil, text)
	for i, h := range m.Heads() {
		p := probabilities[i]
		list = append(list, inspectScore{h.ID, h.Risk, p, h.Threshold, p >= h.Threshold})
	}
	return list
}
