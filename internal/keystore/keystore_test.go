package keystore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// sealingKey is a keeper for tests: AES-256-GCM under the hash of its name.
type sealingKey string

func (s sealingKey) ID() string { return string(s) }

func (s sealingKey) Seal(_ context.Context, plain, aad []byte) ([]byte, error) {
	return s.aead().Seal(nil, nil, plain, aad), nil
}

func (s sealingKey) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	return s.aead().Open(nil, nil, sealed, aad)
}

func (s sealingKey) aead() cipher.AEAD {
	sum := sha256.Sum256([]byte(s))
	block, _ := aes.NewCipher(sum[:])
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	return aead
}

// table is the data keys' table in memory.
type table struct {
	mu   sync.Mutex
	rows []DataKey
	fail error
}

func (t *table) List(context.Context) ([]DataKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.rows), t.fail
}

func (t *table) Add(_ context.Context, k DataKey) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fail != nil {
		return 0, t.fail
	}
	k.ID = int64(len(t.rows)) + 1
	t.rows = append(t.rows, k)
	return k.ID, nil
}

func seal(t testing.TB, k *Keystore, plain, aad string) []byte {
	t.Helper()
	sealed, err := k.Seal(t.Context(), []byte(plain), aad)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantOpen(t testing.TB, k *Keystore, sealed []byte, aad, want string) {
	t.Helper()
	plain, err := k.Open(t.Context(), sealed, aad)
	if err != nil || string(plain) != want {
		t.Fatalf("opened %d bytes (want %d): %v", len(plain), len(want), err)
	}
}

func TestSealedOpensAfterARestart(t *testing.T) {
	rows := &table{}
	sealed := seal(t, New(sealingKey("a"), rows), "a private key", "key:1:ff")
	wantOpen(t, New(sealingKey("a"), rows), sealed, "key:1:ff", "a private key")
	if len(rows.rows) != 1 {
		t.Errorf("%d data keys were made", len(rows.rows))
	}
	empty := seal(t, New(sealingKey("a"), rows), "", "key:2")
	wantOpen(t, New(sealingKey("a"), rows), empty, "key:2", "")
}

func TestSealedShowsNothingOfThePlain(t *testing.T) {
	rows := &table{}
	k := New(sealingKey("a"), rows)
	_, pem, err := k.MakeKey(t.Context(), certfleet.P256)
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, k, string(pem), "key:1")
	for i := range len(pem) - 8 {
		if bytes.Contains(sealed, pem[i:i+8]) {
			t.Fatalf("8 plain bytes at %d stand in the sealed form", i)
		}
	}
	if bytes.Equal(sealed, seal(t, k, string(pem), "key:1")) {
		t.Error("the same plain form seals to the same bytes twice")
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	k := New(sealingKey("a"), &table{})
	sealed := seal(t, k, "a private key", "key:1")
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := k.Open(t.Context(), bad, "key:1"); err == nil {
			t.Fatalf("opened with bit %d flipped", i)
		}
	}
	for n := range len(sealed) {
		if _, err := k.Open(t.Context(), sealed[:n], "key:1"); err == nil {
			t.Fatalf("opened when cut to %d bytes", n)
		}
	}
}

func TestAnotherRowIsRefused(t *testing.T) {
	k := New(sealingKey("a"), &table{})
	sealed := seal(t, k, "a private key", "key:1")
	for _, aad := range []string{"", "key:2", "key:1 ", "key:11"} {
		if _, err := k.Open(t.Context(), sealed, aad); certfleet.AdviceOf(err) == "" {
			t.Errorf("aad %q: %v", aad, err)
		}
	}
}

// A sealed value must not open under another data key, even one of the same
// secret: the id is authenticated too.
func TestDataKeyIDIsAuthenticated(t *testing.T) {
	rows := &table{}
	k := New(sealingKey("a"), rows)
	sealed := seal(t, k, "x", "key:1")
	rows.rows = append(rows.rows, DataKey{ID: 2, KeeperID: "a", Wrapped: rows.rows[0].Wrapped})
	sealed[headerSize-1] = 2
	if _, err := k.Open(t.Context(), sealed, "key:1"); err == nil {
		t.Error("opened under a renumbered data key")
	}
}

func TestRotationKeepsOldValuesReadable(t *testing.T) {
	rows := &table{}
	k := New(sealingKey("a"), rows)
	before := seal(t, k, "old", "key:1")
	id, err := k.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := seal(t, k, "new", "key:2")
	if got, _ := DataKeyID(after); got != id {
		t.Errorf("sealed under data key %d, the new one is %d", got, id)
	}
	for _, k := range []*Keystore{k, New(sealingKey("a"), rows)} {
		wantOpen(t, k, before, "key:1", "old")
		wantOpen(t, k, after, "key:2", "new")
	}
	later := seal(t, New(sealingKey("a"), rows), "x", "key:3")
	if got, _ := DataKeyID(later); got != id {
		t.Errorf("after a restart the data key is %d, not %d", got, id)
	}
}

func TestWrongSealingKeyNamesBoth(t *testing.T) {
	rows := &table{}
	sealed := seal(t, New(sealingKey("right"), rows), "x", "key:1")
	wrong := New(sealingKey("wrong"), rows)
	_, openErr := wrong.Open(t.Context(), sealed, "key:1")
	_, sealErr := wrong.Seal(t.Context(), []byte("x"), "key:1")
	for what, err := range map[string]error{"open": openErr, "seal": sealErr, "check": wrong.Check(t.Context())} {
		advice := certfleet.AdviceOf(err)
		if !strings.Contains(advice, "right") || !strings.Contains(advice, "wrong") || certfleet.KindOf(err) != certfleet.Denied {
			t.Errorf("%s: %v, advice %q", what, err, advice)
		}
	}
	if len(rows.rows) != 1 {
		t.Error("a data key was made under the wrong sealing key")
	}
}

func TestNodesThatRaceForTheFirstDataKeyOpenEachOther(t *testing.T) {
	rows := &table{}
	nodes := make([]*Keystore, 4)
	sealed, errs := make([][]byte, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i := range nodes {
		nodes[i] = New(sealingKey("a"), rows)
		wg.Go(func() { sealed[i], errs[i] = nodes[i].Seal(t.Context(), []byte("x"), "key:1") })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, k := range nodes {
		for _, s := range sealed {
			wantOpen(t, k, s, "key:1", "x")
		}
	}
}

func TestOneKeystoreMakesOneDataKeyForManyCallers(t *testing.T) {
	rows := &table{}
	k := New(sealingKey("a"), rows)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			sealed, err := k.Seal(t.Context(), []byte("x"), "key:1")
			if err != nil {
				t.Error(err)
			} else if plain, err := k.Open(t.Context(), sealed, "key:1"); err != nil || string(plain) != "x" {
				t.Errorf("opened %d bytes: %v", len(plain), err)
			}
		})
	}
	wg.Wait()
	if len(rows.rows) != 1 {
		t.Errorf("%d data keys were made", len(rows.rows))
	}
}

func TestAFailingStoreIsAskedAgain(t *testing.T) {
	rows := &table{fail: errors.New("database is locked")}
	k := New(sealingKey("a"), rows)
	if _, err := k.Seal(t.Context(), []byte("x"), "key:1"); !errors.Is(err, rows.fail) {
		t.Fatalf("got %v", err)
	}
	rows.fail = nil
	wantOpen(t, k, seal(t, k, "x", "key:1"), "key:1", "x")
}

func TestRewrapCanBeInterruptedAndRunAgain(t *testing.T) {
	rows := &table{}
	old := New(sealingKey("a"), rows)
	first := seal(t, old, "one", "key:1")
	if _, err := old.NewDataKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := seal(t, old, "two", "key:2")

	rewrap := func(i int) {
		t.Helper()
		dk, err := Rewrap(t.Context(), rows.rows[i], sealingKey("a"), sealingKey("b"))
		if err != nil {
			t.Fatal(err)
		}
		rows.rows[i] = dk
	}
	rewrap(0) // and here the power went
	if err := New(sealingKey("b"), rows).Check(t.Context()); !strings.Contains(certfleet.AdviceOf(err), "rekey again") {
		t.Errorf("half-way: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	done := bytes.Clone(rows.rows[0].Wrapped)
	rewrap(0)
	rewrap(1)
	if !bytes.Equal(done, rows.rows[0].Wrapped) {
		t.Error("a data key that was done is wrapped again")
	}
	k := New(sealingKey("b"), rows)
	wantOpen(t, k, first, "key:1", "one")
	wantOpen(t, k, second, "key:2", "two")
	if _, err := Rewrap(t.Context(), rows.rows[0], sealingKey("c"), sealingKey("d")); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("rewrap from a foreign key: %v", err)
	}
}

func TestReplaceTakesOnlyAKeyThatOpensEverything(t *testing.T) {
	rows := &table{}
	k := New(sealingKey("a"), rows)
	sealed := seal(t, k, "x", "key:1")
	if changed, err := k.Replace(t.Context(), sealingKey("b")); changed || certfleet.KindOf(err) != certfleet.Denied {
		t.Fatalf("before the rekey: %v, %v", changed, err)
	}
	if err := k.Check(t.Context()); err != nil {
		t.Fatalf("the key in use is gone: %v", err)
	}
	dk, err := Rewrap(t.Context(), rows.rows[0], sealingKey("a"), sealingKey("b"))
	if err != nil {
		t.Fatal(err)
	}
	rows.rows[0] = dk
	if err := k.Check(t.Context()); !strings.Contains(certfleet.AdviceOf(err), "SIGHUP") {
		t.Errorf("after the rekey: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	if changed, err := k.Replace(t.Context(), sealingKey("b")); !changed || err != nil {
		t.Fatalf("after the rekey: %v, %v", changed, err)
	}
	if err := k.Check(t.Context()); err != nil {
		t.Error(err)
	}
	wantOpen(t, k, sealed, "key:1", "x")
}

func TestMakeKeyMakesEachType(t *testing.T) {
	k := New(sealingKey("a"), &table{})
	for _, want := range []certfleet.KeyType{certfleet.P256, certfleet.P384, certfleet.RSA2048} {
		key, pem, err := k.MakeKey(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pki.ParseKey(pem)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := pki.KeyTypeOf(again); got != want || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(again.Public()) {
			t.Errorf("%s: the PEM form holds another key, of type %s", want, got)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k := New(sealingKey("a"), &table{})
	plain := bytes.Repeat([]byte("k"), 241) // a P-256 key in PEM form
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(b.Context(), plain, "key:1:0123456789abcdef"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := New(sealingKey("a"), &table{})
	sealed := seal(b, k, strings.Repeat("k", 241), "key:1:0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(b.Context(), sealed, "key:1:0123456789abcdef"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMakeKey(b *testing.B) {
	k := New(sealingKey("a"), &table{})
	for b.Loop() {
		if key, _, err := k.MakeKey(b.Context(), certfleet.P256); err != nil || key.(*ecdsa.PrivateKey) == nil {
			b.Fatal(err)
		}
	}
}
