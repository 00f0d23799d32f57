package acme_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"encoding/base64"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/pebble"
)

// overheard collects what passes between client and CA that nobody may repeat.
type overheard struct {
	mu      sync.Mutex
	secrets map[string]string // under mu; value to what it is
}

func (o *overheard) add(what, value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(value) > 8 {
		o.secrets[value] = what
	}
}

func (o *overheard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var jws struct{ Protected, Payload, Signature string }
		if json.Unmarshal(body, &jws) == nil {
			o.add("signature", jws.Signature)
			o.add("protected header", jws.Protected)
			o.hearPayload(jws.Payload)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(&tap{w, o}, r)
		o.add("nonce", w.Header().Get("Replay-Nonce"))
	})
}

func (o *overheard) hearPayload(payload string) {
	b, _ := base64.RawURLEncoding.DecodeString(payload)
	var inner struct {
		EAB       struct{ Protected, Payload, Signature string } `json:"externalAccountBinding"`
		Signature string
	}
	if json.Unmarshal(b, &inner) == nil {
		o.add("binding's signature", inner.EAB.Signature)
		o.add("binding's header", inner.EAB.Protected)
		o.add("inner signature", inner.Signature)
	}
}

type tap struct {
	http.ResponseWriter
	o *overheard
}

var tokenMember = regexp.MustCompile(`"token": *"([^"]+)"`)

func (t *tap) Write(b []byte) (int, error) {
	for _, m := range tokenMember.FindAllSubmatch(b, -1) {
		t.o.add("token", string(m[1]))
	}
	return t.ResponseWriter.Write(b)
}

// TestNoSecretIsRepeated walks through everything that carries secrets, with the
// debug log on, and looks for them in the log, the record and the errors.
func TestNoSecretIsRepeated(t *testing.T) {
	heard := &overheard{secrets: map[string]string{}}
	canary := bytes.Repeat([]byte("canary-"), 5)
	heard.add("binding's key", string(canary))
	encoded := base64.RawURLEncoding.EncodeToString(canary)
	heard.add("binding's key", encoded)
	var log bytes.Buffer
	k := start(t, pebble.Options{EABRequired: true, EABKeys: map[string]string{"kid-1": encoded}, NonceReject: 12, Wrap: heard.wrap},
		slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, key := t.Context(), newKey(t)
	info, err := k.client.Register(ctx, key, acme.Registration{TermsAgreed: true, EAB: &acme.EAB{KeyID: "kid-1", HMAC: canary}})
	if err != nil {
		t.Fatal(err)
	}
	acct := acme.Account{URL: info.URL, Key: key}
	leaf, _ := k.issue(acct, acme.OrderRequest{Names: names(t, "ok.example")}, certfleet.HTTP01)
	next := newKey(t)
	if err := k.client.Rollover(ctx, acct, next); err != nil {
		t.Fatal(err)
	}
	acct.Key = next
	if err := k.client.Revoke(ctx, acct, leaf.Raw, 0); err != nil {
		t.Fatal(err)
	}
	said := k.failure(acct) + "\n" // last: Pebble's validators may still read the account's key
	record, err := json.Marshal(k.seen(""))
	if err != nil {
		t.Fatal(err)
	}
	everything := said + string(record) + log.String()
	for value, what := range heard.secrets {
		if i := strings.Index(everything, value); i >= 0 {
			t.Errorf("the %s is repeated: ...%s...", what, everything[max(0, i-200):min(len(everything), i+100)])
		}
	}
	if n := len(heard.secrets); n < 40 {
		t.Errorf("only %d secrets were overheard: the test listens to the wrong thing", n)
	}
	if !containsAll(log.String(), `"acme":{`, `[removed]`, `\"csr\"`, `ok.example`, `"kind":"finalize"`) {
		t.Errorf("the debug log is of no use:\n%.2000s", log.String())
	}
}

// failure is what is said of a proof that fails with a wrong key authorization.
func (k *kit) failure(acct acme.Account) string {
	k.Helper()
	o, err := k.client.NewOrder(k.Context(), acct, acme.OrderRequest{Names: names(k, "wrong.example", "missing.example")})
	if err != nil {
		k.Fatal(err)
	}
	said := ""
	for i, url := range o.Authorizations {
		z := k.authorization(acct, url)
		ch := z.Challenges[slices.IndexFunc(z.Challenges, func(c acme.Challenge) bool { return c.Type == certfleet.HTTP01 })]
		if i == 0 {
			wrong, _ := acme.KeyAuthorization(ch.Token, newKey(k))
			k.answers.Store(certfleet.ChallengePath+ch.Token, wrong)
		}
		if _, err := k.client.Answer(k.Context(), acct, ch.URL); err != nil {
			k.Fatal(err)
		}
		said += problemOf(k.settled(acct, url)).Error() + "\n"
	}
	return said
}
