package issue_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestEveryNodeSpeaksWithAnAuthorityAsItIsNow(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		r, _ := f.node("b", nil)
		first, err := r.ClientOf(f.Context(), f.auth.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if same, err := r.ClientOf(f.Context(), f.auth.ID); same != first || err != nil {
			t.Errorf("an authority that nobody changed gets another client: %v", err)
		}
		f.auth.DirectoryURL += "?moved" // as another node has done
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveAuthority(ctx, f.auth) })
		time.Sleep(10 * time.Second)
		if next, err := r.ClientOf(f.Context(), f.auth.ID); next == first || err != nil {
			t.Errorf("an authority that was changed elsewhere keeps its client: %v", err)
		}
	})
}

// before is a CA that offered no profile when it was first asked.
type before struct {
	to    http.RoundTripper
	asked *int
}

func (b before) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.to.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/directory") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if *b.asked++; *b.asked == 1 {
		body = bytes.Replace(body, []byte(`"shortlived"`), []byte(`"longlived"`), 1)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, err
}

func TestAProfileThatIsNewAtTheCAIsFound(t *testing.T) {
	t.Parallel()
	bubble(t, fakeca.Options{}, func(f *fleet) {
		asked := 0
		r, w := f.node("b", nil)
		f.over(r, before{f.ca.RoundTripper(), &asked})
		f.work = w
		if d, err := r.Directory(f.Context(), f.auth.ID); err != nil || asked != 1 || d.Meta.Profiles["longlived"] == "" {
			t.Fatalf("the CA offers %v after %d questions: %v", d.Meta.Profiles, asked, err)
		}
		c := f.want(certfleet.LaneNew, "profile.example")[0]
		f.live(10 * time.Second)
		if got := f.certificate(c.ID); got.VersionID == 0 || got.Failures != 0 {
			t.Errorf("not issued: %d failures, %q", got.Failures, got.Problem)
		}
	})
}

func TestACAThatAsksForPatienceIsAskedForItsWindowThen(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	id := h.issue(r, h.want("window.example")).VersionID
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		return r.Method == http.MethodGet && strings.Contains(strings.ToLower(r.URL.Path), "renewal") && refuse(w, 503, "serverInternal", "not now", "1200")
	})
	if err := r.PollARI(t.Context(), id, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	v, _ := h.version(id)
	if wait := time.Until(v.ARIPollAt); v.ARIProblem == "" || wait < 19*time.Minute || wait > 21*time.Minute {
		t.Errorf("it is asked again in %s, want 20 minutes: %q", wait, v.ARIProblem)
	}
}
