package acme

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/certfleet/certfleet"
)

// removed stands where a secret was.
const removed = "[removed]"

// secretMembers are the JSON members of ACME objects that nobody else may see.
var secretMembers = map[string]bool{
	"token": true, "keyauthorization": true, "signature": true, "protected": true, "nonce": true,
	"externalaccountbinding": true, "d": true, "k": true,
}

// CAs quote challenge URLs and key authorizations when a validation fails.
var (
	tokenInPath = regexp.MustCompile(regexp.QuoteMeta(certfleet.ChallengePath) + `[A-Za-z0-9_=%-]+`)
	keyAuthText = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{43}`)
)

// plainText removes tokens and key authorizations from a CA's prose.
func plainText(s string) string {
	s = tokenInPath.ReplaceAllLiteralString(s, certfleet.ChallengePath+removed)
	return keyAuthText.ReplaceAllLiteralString(s, removed)
}

// oneLine makes foreign words fit for a log line or a list: no control
// characters, at most max bytes.
func oneLine(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "..."
}

// plainURL is a URL for people: without a password and without the values of a query.
func plainURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return oneLine(plainText(s), 300)
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	return oneLine(plainText(u.String()), 300)
}

func hostOf(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Host
	}
	return "the CA"
}

// plainBody is a body for the log: JSON without its secrets, or how it begins.
func plainBody(b []byte) string {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return oneLine(plainText(string(b[:min(len(b), 500)])), 200)
	}
	out, err := json.Marshal(strip(v))
	if err != nil {
		return removed
	}
	return oneLine(plainText(string(out)), 4096)
}

// strip replaces secret members, however deep they are.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if secretMembers[strings.ToLower(k)] {
				v[k] = removed
				continue
			}
			v[k] = strip(v[k])
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
	}
	return v
}
