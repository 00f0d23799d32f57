package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// said is a log that several may write at a time.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *said) all() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buf.Bytes())
}

// markers are what must be found nowhere, by what it is.
type markers map[string][][]byte

func (m markers) add(what string, secret []byte) {
	m[what] = append(m[what], secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))),
		[]byte(base64.RawStdEncoding.EncodeToString(secret)), []byte(base64.RawURLEncoding.EncodeToString(secret)))
}

// addKey adds all the forms in which a private key may slip out.
func (m markers) addKey(t *testing.T, what string, key *ecdsa.PrivateKey) {
	t.Helper()
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	m.add(what+"'s scalar", scalar)
	m[what+"'s scalar"] = append(m[what+"'s scalar"], []byte(new(big.Int).SetBytes(scalar).String()))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m.add(what+" in PKCS #8", der)
	lines := bytes.Split(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), []byte("\n"))
	m[what+" in PEM"] = append(m[what+" in PEM"], lines[1:3]...)
}

// in lists what was found.
func (m markers) in(b []byte) (found []string) {
	for what, forms := range m {
		for _, f := range forms {
			if bytes.Contains(b, f) {
				found = append(found, fmt.Sprintf("%s (%d bytes)", what, len(f)))
			}
		}
	}
	return found
}

const solverState = "the-solver's-own-state-7f3a"

// telling is a DNS solver with a state that nobody should read.
type telling struct{ pebbleDNS }

func (s telling) Present(ctx context.Context, c certfleet.Challenge) ([]byte, error) {
	_, err := s.pebbleDNS.Present(ctx, c)
	return []byte(solverState), err
}

// TestNoSecretLeavesItsPlace walks names through all the rooms, with everything
// logged, and searches the log and the database for all that is secret.
func TestNoSecretLeavesItsPlace(t *testing.T) {
	t.Parallel()
	hmac := make([]byte, 32)
	rand.Read(hmac)
	log := &said{}
	f := startTelling(t, log, base64.RawURLEncoding.EncodeToString(hmac))
	secret := markers{"a PEM header": {[]byte("PRIVATE KEY")}}
	secret.add("the EAB key", hmac)
	secret.add("the solver's state", []byte(solverState))
	secret.add("the sealing key", sealingKey(t, f))
	imported := f.importKey(t)
	secret.addKey(t, "the imported key", imported)

	good := f.want(t, "default", []string{"edge"}, "*.secret.example", "secret.example")
	blocked := f.want(t, "default", nil, "blocked.example")
	broken := f.want(t, "default", []string{"broken"}, "broken.example")
	f.run(t)
	for _, c := range []*certfleet.Certificate{good, broken} {
		until(t, "issue "+c.Label, func() (bool, string) { got, saw := f.state(t, c.ID); return got.VersionID != 0, saw })
	}
	until(t, "fail", func() (bool, string) { got, saw := f.state(t, blocked.ID); return got.Failures > 0, saw })
	f.delivered(t, good.ID, certfleet.DeliveryApplied)
	f.delivered(t, broken.ID, certfleet.DeliveryFailed)
	if err := f.Issue.Rollover(t.Context(), 1, certfleet.P256); err != nil {
		t.Fatal(err)
	}
	f.openAll(t, secret)

	dump, text := storetest.Dump(t, f.DB), log.all()
	for where, b := range map[string][]byte{"the log": text, "the database": dump} {
		if found := secret.in(b); len(found) > 0 {
			t.Errorf("%s shows %v", where, found)
		}
	}
	f.searched(t, good.ID, dump, text)
}

// searched makes sure that something was there to be found in.
func (f *fleet) searched(t *testing.T, certificate int64, dump, text []byte) {
	t.Helper()
	for _, word := range []string{"secret.example", "newOrder", "finalize", "externalAccountBinding"} {
		if !bytes.Contains(text, []byte(word)) {
			t.Errorf("the log does not even have %q", word)
		}
	}
	o, err := f.DB.LastOrder(t.Context(), certificate)
	if err != nil {
		t.Fatal(err)
	}
	list, err := f.DB.ChallengesOf(t.Context(), o.ID)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d challenges: %v", len(list), err)
	}
	for _, c := range list {
		if !bytes.Contains(dump, []byte(c.Token)) {
			t.Error("the dump of the database lacks a row")
		}
		if bytes.Contains(text, []byte(c.Token)) || bytes.Contains(text, []byte(c.KeyAuth)) {
			t.Error("the log shows a challenge's token")
		}
	}
}

func startTelling(t *testing.T, log *said, hmac string) *fleet {
	t.Helper()
	o := pebble.Options{HTTPPort: porttest.Port(t), EABRequired: true, EABKeys: map[string]string{"kid-1": hmac}, Blocked: []string{"blocked.example"}, NonceReject: 20}
	ca, err := pebble.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	f := &fleet{ca: ca, dir: storetest.Dir(t)}
	c := config.Default()
	c.StateDir = f.dir
	c.Listen = config.Listen{API: config.Off, HTTP01: addr(o.HTTPPort), TLSALPN01: config.Off}
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	f.App, err = app.New(t.Context(), c, app.Options{
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4})), Keeper: key,
		Solvers: map[string]certfleet.Solver{"test": telling{pebbleDNS{ca}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.App.Close() })
	f.fillTelling(t, hmac)
	return f
}

func (f *fleet) fillTelling(t *testing.T, hmac string) {
	t.Helper()
	acct := &certfleet.Account{Tenant: 1, Label: "main", Contact: []string{"mailto:tls@certfleet.test"}, EABKeyID: "kid-1"}
	raw, err := base64.RawURLEncoding.DecodeString(hmac)
	if err != nil {
		t.Fatal(err)
	}
	if acct.EABSealed, err = f.Keys.SealEAB(t.Context(), acct, raw); err != nil {
		t.Fatal(err)
	}
	f.tx(t, func(ctx context.Context, tx *store.Tx) error {
		a := &certfleet.Authority{Label: "pebble", DirectoryURL: f.ca.DirectoryURL, TrustPEM: string(f.ca.TrustPEM)}
		if err := tx.AddAuthority(ctx, a); err != nil {
			return err
		}
		acct.AuthorityID, acct.AgreedAt = a.ID, tx.Now()
		if err := tx.AddAccount(ctx, acct); err != nil {
			return err
		}
		if err := tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "edge", Type: "files", Spec: []byte(`{"dir":` + quote(f.dir+"/tls") + `}`)}); err != nil {
			return err
		}
		if err := tx.AddTarget(ctx, &certfleet.StoredTarget{Label: "broken", Type: "exec", Spec: []byte(`{"command":["/bin/sh","-c","cat >&2; exit 1"]}`)}); err != nil {
			return err
		}
		return tx.AddPolicy(ctx, &certfleet.Policy{Label: "default", Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}}})
	})
}

// sealingKey is the secret part of the sealing key.
func sealingKey(t *testing.T, f *fleet) []byte {
	t.Helper()
	text := string(f.Keeper.(*keeper.Key).Text())
	b, err := base64.RawStdEncoding.DecodeString(text[strings.LastIndex(text, ":")+1:])
	if err != nil || len(b) != 32 {
		t.Fatalf("the sealing key has %d bytes: %v", len(b), err)
	}
	return b
}

func (f *fleet) importKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	row, err := f.Keys.SealImported(t.Context(), 1, "certificate", key)
	if err != nil {
		t.Fatal(err)
	}
	f.tx(t, func(ctx context.Context, tx *store.Tx) error { return tx.AddKey(ctx, row) })
	return key
}

// openAll adds every private key there is.
func (f *fleet) openAll(t *testing.T, secret markers) {
	t.Helper()
	rows, _, err := f.DB.Keys(t.Context(), store.KeyFilter{Limit: 100})
	if err != nil || len(rows) < 5 {
		t.Fatalf("%d keys, want two of accounts, two issued, one imported: %v", len(rows), err)
	}
	for _, row := range rows {
		signer, err := f.Keys.OpenKey(t.Context(), &row)
		if err != nil {
			t.Fatal(err)
		}
		key, ok := signer.(*ecdsa.PrivateKey)
		if !ok || pki.SPKI(key.Public()) != row.SPKI {
			t.Fatalf("key %d is a %T", row.ID, signer)
		}
		secret.addKey(t, fmt.Sprintf("%s key %d", row.Use, row.ID), key)
	}
}

// delivered waits until the certificate's delivery has come to a state.
func (f *fleet) delivered(t *testing.T, certificate int64, want certfleet.DeliveryState) {
	t.Helper()
	until(t, "deliver", func() (bool, string) {
		list, _, err := f.DB.Deliveries(t.Context(), store.DeliveryFilter{CertificateID: certificate})
		if err != nil || len(list) == 0 {
			return false, "no delivery"
		}
		return list[0].State == want, string(list[0].State) + " " + list[0].Problem
	})
}
