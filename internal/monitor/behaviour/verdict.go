package behaviour

import (
	"encoding/json"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// writeVerdict gives what a row keeps of a verdict. The posture and the time have columns of their own.
func writeVerdict(v inspect.Verdict) string {
	v.Rules.Digest, v.Cost.Us = "", 0
	js, err := json.Marshal(v) // numbers, and names that the engine knows
	if err != nil {
		return "[]"
	}
	return string(js)
}

// ReadVerdict gives the verdict of a request. Whole is false where a gateway of an older version told only what hit, not
// which texts it read and at what cost.
func ReadVerdict(t telemetry.Traffic) (v inspect.Verdict, whole bool, err error) {
	if strings.HasPrefix(t.Verdict, "{") {
		whole, err = true, json.Unmarshal([]byte(t.Verdict), &v)
	} else {
		var hits []inspect.Hit
		err = json.Unmarshal([]byte(t.Verdict), &hits)
		for _, h := range hits {
			v.Add(h.Place, []inspect.Match{h.Match})
		}
	}
	v.Rules.Digest, v.Cost.Us = t.PostureDigest, t.InspectUs
	return v, whole, err
}
