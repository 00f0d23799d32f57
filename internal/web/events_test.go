package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// happen writes events msg-from to msg-(to-1).
func (k *kit) happen(from, to int) {
	k.t.Helper()
	for i := from; i < to; i++ {
		must(k.t, k.db.Tx(context.Background(), time.Now(), func(tx *store.Tx) error {
			return tx.Event(context.Background(), certfleet.Event{Kind: "test.happened", Msg: fmt.Sprintf("msg-%d", i)})
		}))
	}
}

func (k *kit) client(scope certfleet.Scope) *client.Client {
	return client.New(k.url, client.Options{Token: k.tokens[scope], Timeout: trial.Patience})
}

// follow reads n events of a stream.
func (k *kit) follow(q client.StreamQuery, n int) (msgs []string, last string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), trial.Patience)
	defer cancel()
	for e, err := range k.client(certfleet.ScopeRead).Stream(ctx, q) {
		must(k.t, err)
		msgs, last = append(msgs, e.Msg), e.Cursor
		if len(msgs) == n {
			break
		}
	}
	return msgs, last
}

func numbered(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("msg-%d", i))
	}
	return out
}

func TestAStreamGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.happen(0, 5)
	first, cursor := k.follow(client.StreamQuery{After: "start", Kind: "test."}, 3)
	if !slices.Equal(first, numbered(0, 3)) {
		t.Fatalf("first %v", first)
	}
	done := make(chan []string)
	go func() {
		rest, _ := k.follow(client.StreamQuery{After: cursor, Kind: "test."}, 302)
		done <- rest
	}()
	time.Sleep(50 * time.Millisecond) // so that some of it is followed, not read back
	k.happen(5, 305)
	if rest := <-done; !slices.Equal(rest, numbered(3, 305)) {
		t.Errorf("the rest has %d events: %v", len(rest), rest)
	}
}

func TestLastEventIDIsHeard(t *testing.T) {
	k := newKit(t)
	k.happen(0, 3)
	_, cursor := k.follow(client.StreamQuery{After: "start", Kind: "test."}, 2)
	ctx, cancel := context.WithTimeout(context.Background(), trial.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", k.url+"/v1/events/stream", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+k.tokens[certfleet.ScopeRead])
	req.Header.Set("Last-Event-ID", cursor)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	b := make([]byte, 4096)
	text := ""
	for !strings.Contains(text, "msg-2") {
		n, err := res.Body.Read(b)
		must(t, err)
		text += string(b[:n])
	}
	if strings.Contains(text, "msg-1") || !strings.Contains(text, "event: test.happened") || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the stream says %s", text)
	}
}

func TestTheTailEndsWithItsLastListener(t *testing.T) {
	db := newKit(t).db
	ts := &tails{db: db}
	_, leave1, err := ts.join(context.Background(), 1)
	must(t, err)
	_, leave2, err := ts.join(context.Background(), 1)
	must(t, err)
	if len(ts.all) != 1 || ts.n != 2 {
		t.Errorf("%d tails for %d listeners", len(ts.all), ts.n)
	}
	leave1()
	leave1()
	leave2()
	if len(ts.all) != 0 || ts.n != 0 {
		t.Errorf("%d tails for %d listeners are left", len(ts.all), ts.n)
	}
}

func TestAListenerThatIsTooSlowIsDropped(t *testing.T) {
	ts := &tails{}
	slow, quick := make(chan batch, 1), make(chan batch, 9)
	one := &tail{feeds: map[chan batch]bool{slow: true, quick: true}}
	for range 3 {
		ts.hand(one, batch{})
	}
	<-slow
	if _, open := <-slow; open || len(quick) != 3 || len(one.feeds) != 1 {
		t.Errorf("slow open %v, quick has %d of 3, %d feeds", open, len(quick), len(one.feeds))
	}
}
