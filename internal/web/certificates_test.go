package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func TestAskingTwiceForTheSameIsOnce(t *testing.T) {
	k := newKit(t).fleet()
	var first, second api.CertificateAnswer
	body := `{"names":["www.example.com","example.com"],"targets":["edge"],"labels":{"tenant":"acme"}}`
	k.ok("POST", "/v1/certificates", body).into(t, &first)
	k.ok("POST", "/v1/certificates", body).into(t, &second)
	if !first.Created || second.Created || first.ID != second.ID || first.Label != "www.example.com" {
		t.Errorf("first %+v, second %+v", first, second)
	}
	r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/certificates", `{"label":"www.example.com","names":["other.example.com"]}`)
	if p := r.problem(t); r.status != 409 || !strings.Contains(p.Advice, "update") {
		t.Errorf("another content under the same label: %d %s", r.status, r.body)
	}
	var third api.CertificateAnswer
	k.ok("POST", "/v1/certificates", `{"label":"www.example.com","names":["other.example.com"],"update":true}`).into(t, &third)
	if third.ID != first.ID || third.Names[0] != "other.example.com" || third.DueReason != "its names changed" {
		t.Errorf("after the update: %+v", third)
	}
}

func TestAnIdempotencyKeyIsItsTokensOwn(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`, "Idempotency-Key", "k1")
	r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/certificates", `{"names":["b.example.com"]}`, "Idempotency-Key", "k1")
	if r.status != 200 || !strings.Contains(r.body, "b.example.com") {
		t.Errorf("another token with the same key: %d %s", r.status, r.body)
	}
}

func TestAnIdempotencyKeyAnswersTheFirstAnswer(t *testing.T) {
	k := newKit(t).fleet()
	body := `{"names":["a.example.com"]}`
	first := k.ok("POST", "/v1/certificates", body, "Idempotency-Key", "k1")
	k.ok("PATCH", "/v1/certificates/a.example.com", `{"labels":{"x":"y"}}`)
	if again := k.ok("POST", "/v1/certificates", body, "Idempotency-Key", "k1"); again.body != first.body {
		t.Errorf("again %s, first %s", again.body, first.body)
	}
	r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/certificates", `{"names":["b.example.com"]}`, "Idempotency-Key", "k1")
	if p := r.problem(t); r.status != 409 || p.Advice == "" {
		t.Errorf("the key for another request: %d %s", r.status, r.body)
	}
}

func TestPagesFollowTheirCursor(t *testing.T) {
	k := newKit(t).fleet()
	for i := range 7 {
		k.ok("POST", "/v1/certificates", fmt.Sprintf(`{"names":["n%d.example.com"],"labels":{"tenant":"t%d"}}`, i, i%2))
	}
	seen, path := map[string]bool{}, "/v1/certificates?limit=3&label=tenant%3Dt0"
	for pages := 0; path != ""; pages++ {
		r := k.ok("GET", path, "")
		var p api.Page[api.Certificate]
		r.into(t, &p)
		for _, c := range p.Items {
			seen[c.Label] = true
		}
		path = ""
		if link := r.header.Get("Link"); link != "" {
			path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			if !strings.Contains(path, p.Next) {
				t.Errorf("Link %q does not lead to %q", link, p.Next)
			}
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 4 {
		t.Errorf("saw %v", seen)
	}
	if r := k.do(k.tokens[certfleet.ScopeRead], "GET", "/v1/certificates?cursor=%21%21", ""); r.problem(t).Advice == "" || r.status != 422 {
		t.Errorf("a broken cursor: %d %s", r.status, r.body)
	}
}

func TestPauseResumeRenewRemove(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`)
	var c api.CertificateAnswer
	k.ok("POST", "/v1/certificates/a.example.com/pause", "").into(t, &c)
	if c.State != "paused" || !c.DueAt.IsZero() {
		t.Errorf("paused: %+v", c)
	}
	if r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/certificates/a.example.com/renew", ""); r.status != 409 || r.problem(t).Advice == "" {
		t.Errorf("renewing while paused: %d %s", r.status, r.body)
	}
	k.ok("POST", "/v1/certificates/a.example.com/resume", "").into(t, &c)
	if c.State != "active" || c.DueAt.IsZero() {
		t.Errorf("resumed: %+v", c)
	}
	k.ok("POST", "/v1/certificates/a.example.com/renew", `{"emergency":true}`).into(t, &c)
	if c.Lane != "emergency" || c.DueReason != "a renewal was asked for" {
		t.Errorf("renewed: %+v", c)
	}
	c = api.CertificateAnswer{}
	k.ok("DELETE", "/v1/certificates/a.example.com", "").into(t, &c)
	if c.State != "removed" || !c.DueAt.IsZero() {
		t.Errorf("removed: %+v", c)
	}
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`).into(t, &c)
	if c.State != "active" || c.DueAt.IsZero() {
		t.Errorf("asked for again: %+v", c)
	}
	var p api.Page[api.Event]
	k.ok("GET", "/v1/events?certificate=a.example.com", "").into(t, &p)
	var kinds []string
	for _, e := range p.Items {
		kinds = append(kinds, e.Kind)
		if e.Actor != "token:admin" {
			t.Errorf("event %s by %q", e.Kind, e.Actor)
		}
	}
	want := "certificate.changed certificate.removed certificate.renewal_wanted certificate.resumed certificate.paused certificate.added"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("events %s\nwant   %s", got, want)
	}
}

func TestOverlapsAreToldNotRefused(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"label":"wild","names":["*.example.com"]}`)
	var c api.CertificateAnswer
	k.ok("POST", "/v1/certificates", `{"names":["a.example.com"]}`).into(t, &c)
	if len(c.Overlaps) != 1 || c.Overlaps[0].Certificate != "wild" || c.Overlaps[0].By != "*.example.com" {
		t.Errorf("overlaps %+v", c.Overlaps)
	}
}
