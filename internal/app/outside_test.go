package app

import (
	"strings"
	"testing"
)

func TestResolversOnTheInternetSeeWhatACASees(t *testing.T) {
	for list, want := range map[string]bool{"": false, "9.9.9.9:53": true, "9.9.9.9:53 10.0.0.53:53": false, "[2620:fe::fe]:53": true, "127.0.0.53:53": false, "dns.example:53": false} {
		if got := outside(strings.Fields(list)); got != want {
			t.Errorf("%q is outside: %v", list, got)
		}
	}
}
