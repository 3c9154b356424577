package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// slowWord makes the simulated model stall in the middle of an answer to a drill's prompt.
const slowWord = "（慢答）"

// defect is one fault of the simulated model that is on.
type defect map[string]any

func (f defect) of(drillID string) bool {
	contains, _ := f["contains"].(string)
	return strings.Contains(contains, drillID)
}

// setFaults replaces this drill's faults at the simulated model and leaves all others as they are.
// Faults are narrowed to prompts of this drill, so that other traffic on the model does not meet them.
func (c *client) setFaults(ctx context.Context, url, drillID string, want ...defect) error {
	until := c.clock.Now().Add(c.patience)
	for {
		err := c.swapFaults(ctx, url, drillID, want)
		if err == nil || ctx.Err() != nil || c.clock.Now().After(until) {
			return err
		}
		c.trials++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.clock.After(200 * time.Millisecond):
		}
	}
}

func (c *client) swapFaults(ctx context.Context, url, drillID string, want []defect) error {
	raw, err := c.faultsCall(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	var doc struct {
		Faults []defect `json:"faults"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Faults == nil {
		return fmt.Errorf("%s does not look like the fault switches of a simulated model", url)
	}
	doc.Faults = slices.DeleteFunc(doc.Faults, func(f defect) bool { return f.of(drillID) })
	body, err := json.Marshal(map[string]any{"faults": append(doc.Faults, want...)})
	if err != nil {
		return err
	}
	_, err = c.faultsCall(ctx, http.MethodPut, url, body)
	return err
}

func (c *client) faultsCall(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryOnce)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the fault switches of the simulated model cannot be reached: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d; a drill needs a simulated model whose faults can be switched (fengsui simulate-model)", method, url, res.StatusCode)
	}
	return raw, err
}

// faultsURL is where a simulated model with this base URL has its switches.
func faultsURL(upstream string) string {
	return strings.TrimSuffix(strings.TrimRight(upstream, "/"), "/v1") + "/faults"
}
