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

func TestAnOutageIsToldInAFewLinesOfEachKindAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		var f failures
		log := slog.New(slog.NewTextHandler(&b, nil))
		for id := range int64(200) {
			f.tell(log, "orders", id, errors.New("the database server does not answer"))
		}
		f.tell(log, "windows", 1, errors.New("another matter"))
		if n := strings.Count(b.String(), "kind=orders"); n != mostFailed {
			t.Errorf("%d lines of 200 failures passed", n)
		}
		if !strings.Contains(b.String(), "another matter") {
			t.Error("another kind of work was kept back too")
		}
		time.Sleep(quietFor)
		b.Reset()
		f.tell(log, "orders", 7, errors.New("again"))
		f.tell(log, "orders", 8, errors.New("and again"))
		if n := strings.Count(b.String(), "kept_back=195"); n != 1 || !strings.Contains(b.String(), "and again") {
			t.Errorf("after a while the log is\n%s", &b)
		}
	})
}
