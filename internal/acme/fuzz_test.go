package acme

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestRetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "-5": 0, "1.5": 0, "soon": 0,
		"99999999":                       maxRetryAfter,
		"99999999999999999999999999":     maxRetryAfter,
		"Fri, 20 Nov 2026 12:01:00 GMT":  time.Minute,
		"Fri, 20 Nov 2026 11:00:00 GMT":  0,
		"Fri, 20 Nov 2099 12:00:00 GMT":  maxRetryAfter,
		"Friday, 20-Nov-26 12:01:00 GMT": time.Minute,
	} {
		if got := ParseRetryAfter(v, now); got != want {
			t.Errorf("%q is %s, want %s", v, got, want)
		}
	}
}

func TestRetryAfterIsMeasuredByTheCAsClock(t *testing.T) {
	ours := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	a := &answer{at: ours, header: http.Header{"Date": {ours.Add(3 * time.Hour).Format(http.TimeFormat)}, "Retry-After": {ours.Add(4 * time.Hour).Format(http.TimeFormat)}}}
	if got := a.retryAfter(); got != time.Hour {
		t.Errorf("got %s, want 1h", got)
	}
}

func TestLinksAreReadAsTheRFCWritesThem(t *testing.T) {
	h := http.Header{"Link": {
		`<https://ca.example/a>;rel="alternate", <b>; title="x, <y>; rel=alternate"; rel=alternate`,
		`<https://ca.example/i>;rel="index"`, `</c?x=1,2>; rel="up alternate"`, `<https://ca.example/d>; REL=Alternate`,
		`<https://ca.example/e>; rel=index; rel=alternate`, `<broken; rel=alternate`, `<>; rel=alternate`, `<http://%zz>; rel=alternate`,
	}}
	got := strings.Join(links(h, "https://ca.example/cert/1", "alternate"), " ")
	if want := "https://ca.example/a https://ca.example/cert/b https://ca.example/c?x=1,2 https://ca.example/d"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTokensAreTakenOutOfProse(t *testing.T) {
	thumb := strings.Repeat("T", 43)
	for in, want := range map[string]string{
		`Invalid response from http://x.example/.well-known/acme-challenge/AbC_-123: 404`:               `Invalid response from http://x.example/.well-known/acme-challenge/[removed]: 404`,
		`Expected "DGyRejmCefe7v4NfDGDKfAwww." + got "DGyRejmCefe7v4NfDGDKfA.` + thumb + `" (mismatch)`: `Expected "DGyRejmCefe7v4NfDGDKfAwww." + got "[removed]" (mismatch)`,
		`DNS problem: NXDOMAIN looking up A for www.shop.example - check that a DNS record exists`:      `DNS problem: NXDOMAIN looking up A for www.shop.example - check that a DNS record exists`,
	} {
		if got := plainText(in); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "-1", "Fri, 20 Nov 2026 12:01:00 GMT", "99999999999999999999", "1e9", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := ParseRetryAfter(s, now); d < 0 || d > maxRetryAfter {
			t.Errorf("%q is %s", s, d)
		}
	})
}

func FuzzLinks(f *testing.F) {
	for _, s := range []string{`<https://a.example/>;rel="next"`, `<a>,<b>;rel=next`, `<<>>;rel="`, `<a>;rel="x\"y, next"`, `;;,,<`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := links(http.Header{"Link": {s}}, "https://ca.example/x/", "next")
		if len(all) > maxLinks {
			t.Errorf("%d links", len(all))
		}
		for _, l := range all {
			if u, err := url.Parse(l); err != nil || u.Host == "" {
				t.Errorf("%q is not absolute: %v", l, err)
			}
		}
	})
}

func FuzzProblem(f *testing.F) {
	for _, s := range []string{
		`{"type":"urn:ietf:params:acme:error:rateLimited","detail":"see https://x.example/a.","status":429}`,
		`{"subproblems":[{"subproblems":[{}]}],"detail":"\u0000\n"}`, `{"type":1}`, `[]`, `{"status":"429","type":"x"}`, `<html>`, "",
	} {
		f.Add(429, "application/problem+json", []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, ctype string, body []byte) {
		a := &answer{status: status, url: "https://ca.example/x", header: http.Header{"Content-Type": {ctype}, "Retry-After": {ctype}}, body: body, at: time.Now()}
		p := a.problem()
		if (p == nil) != (status >= 200 && status < 300) {
			t.Fatalf("status %d gave %v", status, p)
		}
		if p == nil {
			return
		}
		s := p.Error()
		if s == "" || len(s) > 1100 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("said %q", s)
		}
		if p.See != "" && !strings.HasPrefix(p.See, "https://") {
			t.Errorf("points to %q", p.See)
		}
	})
}
