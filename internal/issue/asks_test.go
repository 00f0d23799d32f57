package issue_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
)

// silent is a CA that leaves a challenge pending until it has looked, as Boulder
// does, and never says when to come again. It counts how often it is told to look.
type silent struct {
	to    http.RoundTripper
	looks *atomic.Int64
}

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	looks := strings.Contains(r.URL.Path, "/challenge/")
	if looks {
		s.looks.Add(1)
	}
	resp, err := s.to.RoundTrip(r)
	if err == nil {
		resp.Header.Del("Retry-After")
	}
	if err != nil || !looks && !strings.Contains(r.URL.Path, "/authz/") {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	b = bytes.ReplaceAll(b, []byte(`"processing"`), []byte(`"pending"`))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return resp, err
}

// TestAChallengeIsAnsweredOnce is about CAs that look once more for each answer,
// and count each look that fails.
func TestAChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	for delay, most := range map[time.Duration]int64{10 * time.Second: 1, 150 * time.Second: 3} {
		bubble(t, fakeca.Options{ValidationDelay: delay}, func(f *fleet) {
			var looks atomic.Int64
			r, w := f.node("b", nil)
			f.over(r, silent{f.ca.RoundTripper(), &looks})
			f.work = w
			c := f.want(certfleet.LaneNew, "once.example")[0]
			f.live(time.Hour)
			if f.certificate(c.ID).VersionID == 0 {
				t.Fatalf("not issued: %+v", f.certificate(c.ID))
			}
			if n := looks.Load(); n > most {
				t.Errorf("during a look of %s the CA was told to look %d times, want %d at most", delay, n, most)
			}
		})
	}
}

func TestACAThatTakesItsTimeIsAskedNowAndThen(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{IssueDelay: time.Hour}, func(f *fleet) {
		r, w := f.node("b", nil)
		f.over(r, silent{f.ca.RoundTripper(), &atomic.Int64{}})
		f.work = w
		c := f.want(certfleet.LaneNew, "slow.example")[0]
		f.live(2 * time.Hour)
		if f.certificate(c.ID).VersionID == 0 {
			t.Fatalf("not issued: %+v", f.certificate(c.ID))
		}
		if n := f.ca.Stats().Requests["order"]; n > 300 {
			t.Errorf("an order that was processed for an hour was asked for %d times", n)
		}
	})
}
