package main

import (
	"cmp"
	"errors"
	"os"
	"testing"
)

func TestTermsOfACalibratedListAreFoundHoweverTheyAreWritten(t *testing.T) {
	list, hits, size, err := countVariants(t.Context(), cmp.Or(os.Getenv("FENGSUI_SAMPLES"), "../../shared/data"))
	var missing absent
	switch {
	case errors.As(err, &missing):
		t.Skipf("%v; FENGSUI_SAMPLES names the folder", missing)
	case err != nil:
		t.Fatal(err)
	}
	blind := 0
	for _, v := range list {
		floor := 0.98
		if v.name == "homophone" {
			floor = 0.9
		}
		if v.tried < 50 || float64(v.found) < floor*float64(v.tried) {
			t.Errorf("%s: %d of %d found", v.name, v.found, v.tried)
		}
		if v.plain*10 < v.tried {
			blind++
		}
	}
	if len(list) < 10 || blind < 5 {
		t.Errorf("of %d ways %d are not seen by terms that ask for none, so this test shows little", len(list), blind)
	}
	if perKB := float64(hits) / float64(size) * 1000; perKB > 0.1 {
		t.Errorf("%.2f false hits a KB", perKB)
	}
}
