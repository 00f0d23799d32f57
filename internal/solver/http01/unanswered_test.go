package http01

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
)

func TestQuestionsInAnOutageAreToldTwiceAMinuteAndEachIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		h := &Handler{Log: slog.New(slog.NewTextHandler(&said, nil)), Lookup: func(context.Context, string) (string, bool, error) {
			return "", false, errors.New("the database does not answer")
		}}
		for range 60 { // a minute
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", certfleet.ChallengePath+strings.Repeat("a", 43), nil))
			if w.Code != http.StatusServiceUnavailable {
				t.Fatalf("status %d", w.Code)
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(said.String(), "look up challenge"); n != 2 || !strings.Contains(said.String(), "kept_back=29") {
			t.Errorf("the log is\n%s", &said)
		}
	})
}
