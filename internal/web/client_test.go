package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/trial"
)

func TestTheClientGoesThroughAllPages(t *testing.T) {
	k, ctx := newKit(t).fleet(), t.Context()
	c := k.client(certfleet.ScopeIssue)
	for i := range 25 {
		_, err := c.AddCertificate(ctx, client.NewCertificate{Names: []string{fmt.Sprintf("n%d.example.com", i)}, Labels: map[string]string{"tenant": "acme"}})
		must(t, err)
	}
	n := 0
	q := client.CertificateQuery{Paging: client.Paging{Limit: 4}, Labelled: client.Labelled{Label: []string{"tenant=acme"}}, DueWithin: "1h"}
	for got, err := range c.Certificates(ctx, q) {
		must(t, err)
		if got.Labels["tenant"] == "acme" {
			n++
		}
	}
	if n != 25 {
		t.Errorf("saw %d of 25", n)
	}
}

func TestTheClientTellsWhatTheServerExplains(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	for _, c := range []struct {
		scope certfleet.Scope
		do    func(*client.Client) error
		kind  certfleet.Kind
		word  string
	}{
		{certfleet.ScopeRead, func(c *client.Client) error { _, err := c.Certificate(ctx, "none"); return err }, certfleet.NotFound, "none"},
		{certfleet.ScopeRead, func(c *client.Client) error { _, err := c.RevokeToken(ctx, "x"); return err }, certfleet.Denied, "scope admin"},
		{certfleet.ScopeAdmin, func(c *client.Client) error {
			_, err := c.AddCertificate(ctx, client.NewCertificate{Names: []string{"a_b.com"}})
			return err
		}, certfleet.Invalid, "underscore"},
	} {
		err := c.do(k.client(c.scope))
		if certfleet.KindOf(err) != c.kind || certfleet.AdviceOf(err) == "" || !strings.Contains(err.Error(), c.word) {
			t.Errorf("want %s with %q, got %v (%s)", c.kind, c.word, err, certfleet.AdviceOf(err))
		}
	}
	nobody := client.New("http://127.0.0.1:1", client.Options{})
	if _, err := nobody.Release(ctx); certfleet.KindOf(err) != certfleet.Unreachable || certfleet.AdviceOf(err) == "" {
		t.Errorf("nobody there: %v", err)
	}
	html := httptest.NewServer(http.NotFoundHandler())
	defer html.Close()
	if _, err := client.New(html.URL, client.Options{}).Release(ctx); certfleet.KindOf(err) != certfleet.Unreachable || certfleet.AdviceOf(err) == "" {
		t.Errorf("another server there: %v", err)
	}
}

func TestTheClientRepeatsByItsKey(t *testing.T) {
	k := newKit(t).fleet()
	ctx := client.WithIdempotencyKey(t.Context(), "one")
	c := k.client(certfleet.ScopeIssue)
	first, err := c.AddCertificate(ctx, client.NewCertificate{Names: []string{"a.example.com"}})
	must(t, err)
	again, err := c.AddCertificate(ctx, client.NewCertificate{Names: []string{"a.example.com"}})
	must(t, err)
	if !first.Created || !again.Created || first.ID != again.ID {
		t.Errorf("first %+v, again %+v", first, again)
	}
}

func TestFollowBeginsAgainWithoutALoss(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond) // every stream breaks soon
		defer cancel()
		k.h.ServeHTTP(w, r.WithContext(ctx))
	}))
	defer front.Close()
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	go func() {
		for i := range 8 {
			time.Sleep(200 * time.Millisecond)
			k.happen(i, i+1)
		}
	}()
	var got []string
	for e, err := range client.New(front.URL, client.Options{Token: k.tokens[certfleet.ScopeRead]}).Follow(ctx, client.StreamQuery{Kind: "test."}) {
		must(t, err)
		if got = append(got, e.Msg); len(got) == 8 {
			break
		}
	}
	if want := strings.Join(numbered(0, 8), " "); strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}
