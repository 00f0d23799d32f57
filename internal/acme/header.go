package acme

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a CA may ask us to wait: no ACME limit is longer
// than a week, and a mistaken date must not silence us for good.
const maxRetryAfter = 30 * 24 * time.Hour

// ParseRetryAfter reads a Retry-After header, in seconds or as a date (RFC 9110
// section 10.2.3), as a wait from now between zero and thirty days. What cannot
// be read is zero.
func ParseRetryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseUint(v, 10, 64); err == nil {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if v != "" && strings.Trim(v, "0123456789") == "" {
		return maxRetryAfter // more seconds than fit a number
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), maxRetryAfter)
}

// maxLinks bounds how many links of one answer are looked at.
const maxLinks = 32

// links are the targets of h's Link headers with relation rel (RFC 8288), as
// absolute URLs.
func links(h http.Header, base, rel string) []string {
	var out []string
	for _, line := range h.Values("Link") {
		for target, params := range linkValues(line) {
			if hasRel(params, rel) && len(out) < maxLinks {
				if u := resolve(base, target); u != "" {
					out = append(out, u)
				}
			}
		}
	}
	return out
}

func link(h http.Header, base, rel string) string {
	if all := links(h, base, rel); len(all) > 0 {
		return all[0]
	}
	return ""
}

// linkValues yields target and parameters of each link in one header line.
func linkValues(line string) func(yield func(target, params string) bool) {
	return func(yield func(target, params string) bool) {
		for {
			_, rest, ok := strings.Cut(line, "<")
			if !ok {
				return
			}
			target, after, ok := strings.Cut(rest, ">")
			if !ok {
				return
			}
			params := after[:endOfLink(after)]
			if !yield(target, params) {
				return
			}
			line = after[len(params):]
		}
	}
}

// endOfLink is where the next link begins: at a comma outside quotes.
func endOfLink(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return i
		}
	}
	return len(s)
}

func hasRel(params, rel string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for r := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(r, rel) {
				return true
			}
		}
		return false // only the first rel counts (RFC 8288 section 3.3)
	}
	return false
}

// resolve makes ref absolute; an empty or broken one is empty.
func resolve(base, ref string) string {
	if ref == "" {
		return ""
	}
	b, err := url.Parse(base)
	if err != nil {
		return ""
	}
	u, err := b.Parse(ref)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.String()
}
