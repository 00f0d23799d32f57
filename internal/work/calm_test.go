package work

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheSameWordsPassTwiceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		c := newCalm(slog.NewTextHandler(&b, nil))
		own, its := slog.New(c), slog.New(rivers{c}).With("queue", "orders").WithGroup("g")
		for range 600 { // a minute
			own.Warn("cannot queue", "err", errors.New("gone"))
			its.Error("cannot fetch")
			its.Error("cannot elect")
			its.Info("all is well")
			time.Sleep(100 * time.Millisecond)
		}
		if n := strings.Count(b.String(), "cannot queue"); n != 2 {
			t.Errorf("our words passed %d times", n)
		}
		if n := strings.Count(b.String(), "trouble with the queue"); n != 2 {
			t.Errorf("River's words passed %d times", n)
		}
		if !strings.Contains(b.String(), "kept_back=299") || !strings.Contains(b.String(), `said="cannot fetch"`) || strings.Contains(b.String(), "all is well") {
			t.Errorf("the log is\n%s", &b)
		}
	})
}
