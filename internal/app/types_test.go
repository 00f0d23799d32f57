package app_test

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/app"
)

func TestEverySettingOfATargetSaysWhatItMeans(t *testing.T) {
	types := app.TargetTypes()
	if len(types) == 0 {
		t.Fatal("there are no types of target")
	}
	for _, typ := range types {
		for _, f := range typ.Fields {
			if !strings.HasSuffix(f.Doc, ".") {
				t.Errorf("%s %s: %q is no sentence", typ.Type, f.Name, f.Doc)
			}
		}
	}
}
