package api

import (
	"net/url"
	"strings"
)

// withoutPasswords changes v, which was just read from JSON: a password within a
// URL, as settings of an older release may have one, is shown to nobody.
func withoutPasswords(v any) any {
	switch v := v.(type) {
	case string:
		if u, err := url.Parse(v); err == nil && u.User != nil {
			return u.Redacted()
		}
		if strings.Contains(v, "://") && strings.Contains(v, "@") {
			return "xxxxx" // no URL that we can read, so nothing of it is shown
		}
	case []any:
		for i := range v {
			v[i] = withoutPasswords(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withoutPasswords(v[k])
		}
	}
	return v
}
