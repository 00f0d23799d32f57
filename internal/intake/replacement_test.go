package intake

import (
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestWhatIsToBeReplacedIsCheckedBefore(t *testing.T) {
	for what, c := range map[string]struct {
		ask  api.NewReplacement
		says string // empty: it may be asked for
	}{
		"by an issuer":                      {api.NewReplacement{Issuer: "R12"}, ""},
		"all revoked by tomorrow":           {api.NewReplacement{Issuer: "R12", Revoke: true, RevokeBy: time.Now().Add(24 * time.Hour)}, ""},
		"a time, and nothing is revoked":    {api.NewReplacement{Issuer: "R12", RevokeBy: time.Now().Add(24 * time.Hour)}, "nothing is to be revoked"},
		"a time before any order is out":    {api.NewReplacement{Issuer: "R12", Revoke: true, RevokeBy: time.Now().Add(time.Second)}, "too soon"},
		"a time that has passed":            {api.NewReplacement{Issuer: "R12", Revoke: true, RevokeBy: time.Now().Add(-24 * time.Hour)}, "too soon"},
		"a span that ends before it begins": {api.NewReplacement{IssuedAfter: time.Now(), IssuedBefore: time.Now().Add(-time.Hour)}, "between a moment and an earlier one"},
		"a span without an end":             {api.NewReplacement{IssuedAfter: time.Now()}, ""},
		"everything":                        {api.NewReplacement{Revoke: true}, "everything"},
		"a serial that is no number":        {api.NewReplacement{Serials: []string{"xyz"}}, "cannot be read"},
		"serials as people copy them":       {api.NewReplacement{Serials: []string{"03:AB 01"}}, ""},
	} {
		_, err := ReplacementSpec(c.ask)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s is refused: %v", what, err)
		case c.says != "" && (certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v (advice %q); want %q with advice", what, err, certfleet.AdviceOf(err), c.says)
		}
	}
}
