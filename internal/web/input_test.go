package web

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestBadInputIsAnsweredWithAdvice(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/certificates", `{"label":"there","names":["there.example.com"]}`)
	names := map[string]string{
		"scheme": "https://www.example.com/", "port": "www.example.com:443", "space": "www example.com", "underscore": "a_b.example.com",
		"wildcard in the middle": "www.*.example.com", "long": strings.Repeat("a", 300) + ".com", "public suffix": "co.uk", "private suffix": "github.io",
		"one label": "localhost", "empty": "", "mailbox": "me@example.com", "empty label": "a..example.com", "hyphen": "-a.example.com",
	}
	for what, name := range names {
		r := k.do(k.tokens[certfleet.ScopeIssue], "POST", "/v1/certificates", `{"names":["`+name+`"]}`)
		if p := r.problem(t); r.status != 422 || p.Advice == "" || p.Kind != "invalid" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	for what, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no names":           {"POST", "/v1/certificates", `{"names":[]}`, 422},
		"names twice":        {"POST", "/v1/certificates", `{"names":["a.example.com","A.example.com."]}`, 422},
		"no such policy":     {"POST", "/v1/certificates", `{"names":["a.example.com"],"policy":"none"}`, 422},
		"no such target":     {"POST", "/v1/certificates", `{"names":["a.example.com"],"targets":["none"]}`, 422},
		"label is a number":  {"POST", "/v1/certificates", `{"label":"12","names":["a.example.com"]}`, 422},
		"label with a slash": {"POST", "/v1/certificates", `{"label":"a/b","names":["a.example.com"]}`, 422},
		"wildcard by http":   {"POST", "/v1/certificates", `{"names":["*.example.com"],"challenge":"http-01"}`, 422},
		"address by dns":     {"POST", "/v1/certificates", `{"names":["192.0.2.7"],"challenge":"dns-01"}`, 422},
		"unknown challenge":  {"POST", "/v1/certificates", `{"names":["a.example.com"],"challenge":"magic"}`, 422},
		"unknown field":      {"POST", "/v1/certificates", `{"names":["a.example.com"],"nmaes":1}`, 422},
		"wrong type":         {"POST", "/v1/certificates", `{"names":"a.example.com"}`, 422},
		"no JSON":            {"POST", "/v1/certificates", `names: [a.example.com]`, 400},
		"no body":            {"POST", "/v1/certificates", ``, 400},
		"bad duration":       {"GET", "/v1/certificates?due_within=soon", ``, 422},
		"bad label filter":   {"GET", "/v1/certificates?label=tenant", ``, 422},
		"bad limit":          {"GET", "/v1/certificates?limit=5000", ``, 422},
		"no such thing":      {"GET", "/v1/certificates/none.example.com", ``, 404},
		"no such path":       {"GET", "/v1/nothing", ``, 404},
		"bad authority":      {"POST", "/v1/authorities", `{"label":"x","directory_url":"ftp://x"}`, 422},
		"policy of nothing":  {"POST", "/v1/policies", `{"label":"x","authorities":["none"]}`, 422},
		"bad key type":       {"POST", "/v1/policies", `{"label":"x","authorities":["test-ca"],"key_type":"dsa"}`, 422},
		"bad probe address":  {"POST", "/v1/targets", `{"label":"x","type":"files","probe":["example.com"]}`, 422},
		"half a binding":     {"POST", "/v1/accounts", `{"authority":"test-ca","eab_key_id":"k"}`, 422},
		"bad contact":        {"POST", "/v1/accounts", `{"authority":"test-ca","contact":["not an address"]}`, 422},
		"sweep elsewhere":    {"POST", "/v1/sweep", `{"kind":"renewals"}`, 403},
		"bad cursor":         {"GET", "/v1/events/stream?after=x", ``, 422},
	} {
		r := k.do(k.tokens[certfleet.ScopeAdmin], c.method, c.path, c.body)
		if p := r.problem(t); r.status != c.status || p.Advice == "" || p.Title == "" || p.RequestID == "" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
}

func TestNamesAreTakenAsPeopleWriteThem(t *testing.T) {
	k := newKit(t).fleet()
	r := k.ok("POST", "/v1/certificates", `{"names":["WWW.Example.COM.","bücher.example","2001:db8::7"]}`)
	if !strings.Contains(r.body, `"names":["www.example.com","xn--bcher-kva.example","2001:db8::7"]`) {
		t.Errorf("names: %s", r.body)
	}
}

func TestNothingThatWasSentIsRepeated(t *testing.T) {
	const marker = "hunter2-hunter2-hunter2"
	k := newKit(t, func(d *Deps) { d.Body = 4 << 10 }).fleet()
	for what, body := range map[string]string{
		"too large":     `{"authority":"test-ca","eab_key_id":"k","eab_hmac_key":"` + marker + strings.Repeat("x", 8<<10) + `"}`,
		"unknown field": `{"authority":"test-ca","eab_key_id":"k","eab_hmac_key":"` + marker + `","unknown":1}`,
		"wrong type":    `{"authority":7,"eab_key_id":"k","eab_hmac_key":"` + marker + `"}`,
		"unreadable":    `{"authority":"test-ca","eab_key_id":"k","eab_hmac_key":"` + marker + ` ü"}`,
		"cut":           `{"authority":"test-ca","eab_hmac_key":"` + marker,
		"bad key":       `{"authority":"test-ca","key":"` + marker + `"}`,
	} {
		r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/accounts", body)
		if r.status < 400 || strings.Contains(r.body, marker) {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
		if what == "too large" && (r.status != 413 || !strings.Contains(r.problem(t).Advice, "limits.body")) {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	k.do(k.tokens[certfleet.ScopeAdmin], "GET", "/v1/certificates?limit="+marker, "")
	if strings.Contains(k.log.String(), marker) {
		t.Errorf("the log has it:\n%s", k.log)
	}
}
