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
		return withoutPassword(v)
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

// withoutPassword hides what it cannot read where a password might be. What settings
// may have it shows as it is: it is compared, and goes back when another one changes.
func withoutPassword(text string) string {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != strings.ToLower(scheme) || strings.Contains(rest, "://") {
		if before, _, at := strings.Cut(rest, "@"); at && strings.Contains(before, ":") {
			return "xxxxx"
		}
		return text
	}
	if u.Query().Has("password") {
		return "xxxxx"
	}
	if _, set := u.User.Password(); set {
		return u.Redacted()
	}
	return text
}
