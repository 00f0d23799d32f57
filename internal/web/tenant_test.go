package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func TestAnotherTenantSeesAndDoesNothingForAll(t *testing.T) {
	swept := 0
	k := newKit(t, func(d *Deps) {
		d.Acts.Queued = func(context.Context) ([]api.RunningJob, []api.TroubledJob, error) {
			return []api.RunningJob{{Kind: "secret-of-others", ID: 7}}, []api.TroubledJob{{Problem: "secret-of-others"}}, nil
		}
		d.Acts.DueByKind = func(context.Context) ([]api.DueJobs, error) { return []api.DueJobs{{Kind: "secret-of-others"}}, nil }
		d.Acts.Sweep = func(context.Context, string, int, bool) (api.Swept, error) { swept++; return api.Swept{}, nil }
	})
	secret, hash := NewToken()
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		return tx.AddToken(t.Context(), &certfleet.Token{Tenant: 2, Label: "other", Hash: hash, Scopes: certfleet.Scopes})
	}))
	for path, want := range map[string]int{"GET /v1/overview": http.StatusForbidden, "POST /v1/sweep": http.StatusForbidden, "GET /v1/jobs": http.StatusOK} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == "POST" {
			body = `{"kind":"orders"}`
		}
		if got := k.do(secret, method, path, body); got.status != want || strings.Contains(got.body, "secret-of-others") {
			t.Errorf("%s %s for another tenant: %d %s", method, path, got.status, got.body)
		}
		if got := k.do(k.tokens[certfleet.ScopeAdmin], method, path, body); got.status != http.StatusOK {
			t.Errorf("%s %s for the default tenant: %d %s", method, path, got.status, got.body)
		}
	}
	if swept != 1 {
		t.Errorf("swept %d times, want once", swept)
	}
}
