package api

import (
	"strings"
	"testing"
)

func FuzzParseJoinToken(f *testing.F) {
	f.Add(JoinToken{Manager: "https://manager.test:7443", CA: strings.Repeat("0", 64), Agent: "edge-1", Secret: "s3cret"}.String())
	f.Add("cfj_e30")
	f.Add("cfj_")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseJoinToken(text)
		if err != nil {
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("the error repeats the token")
			}
			return
		}
		again, err := ParseJoinToken(got.String())
		if err != nil || again != got {
			t.Errorf("%q is %+v, and then %+v, %v", text, got, again, err)
		}
	})
}
