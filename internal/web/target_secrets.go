package web

import (
	"context"
	"net/url"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// ofTarget is the wire form of a target for who asks: only those who may change it
// read a password that its settings have in a URL instead of a reference.
func ofTarget(ctx context.Context) func(*certfleet.StoredTarget) api.Target {
	if t := who(ctx); t != nil && t.Allows(certfleet.ScopeAdmin) {
		return api.OfTarget
	}
	return func(t *certfleet.StoredTarget) api.Target {
		w := api.OfTarget(t)
		for k, v := range w.Spec {
			w.Spec[k] = withoutPasswords(v)
		}
		return w
	}
}

// withoutPasswords changes v, which was just read from JSON.
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
