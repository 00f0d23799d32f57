package web

import (
	"testing"
	"time"
)

func TestSpanCountsOneSecond(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0 seconds", 1500 * time.Millisecond: "1 second", 2 * time.Second: "2 seconds", 2 * time.Minute: "2 minutes"} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
