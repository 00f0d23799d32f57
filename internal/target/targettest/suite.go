package targettest

import (
	"fmt"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// Reader reads what a service beside the target would read: chain and key of a
// certificate, both nil when the target holds none.
type Reader func(certificate string) (chain, key []byte, err error)

// Run checks the promises of certfleet.Target on a fresh target for each, and
// those of Verifier and Remover where it has these abilities.
func Run(t *testing.T, fresh func(t *testing.T) (certfleet.Target, Reader)) {
	for name, f := range map[string]func(*bench){
		"delivers what fits":                   delivers,
		"is idempotent":                        idempotent,
		"newer wins over older":                newerWins,
		"failed delivery keeps last good pair": keepsLastGood,
		"many bundles at once":                 many,
		"one bad bundle spoils no other":       oneBad,
		"holds agrees with what is read":       holds,
		"remove removes that one alone":        removes,
	} {
		t.Run(name, func(t *testing.T) {
			target, read := fresh(t)
			f(&bench{T: t, target: target, read: read, receipts: map[string]certfleet.Receipt{}})
		})
	}
}

// bench is a target on trial, with the receipts it gave.
type bench struct {
	*testing.T
	target   certfleet.Target
	read     Reader
	receipts map[string]certfleet.Receipt
}

// deliver hands over bundles with the receipts of before, as the house does.
func (b *bench) deliver(bundles ...certfleet.Bundle) []certfleet.Receipt {
	b.Helper()
	before := make([]certfleet.Receipt, 0, len(bundles))
	for _, x := range bundles {
		if r, ok := b.receipts[x.Certificate]; ok {
			before = append(before, r)
		}
	}
	got, err := b.target.Deliver(b.Context(), bundles, before)
	if err != nil {
		b.Fatalf("deliver: %v", err)
	}
	if len(got) != len(bundles) {
		b.Fatalf("deliver answered %d receipts for %d bundles", len(got), len(bundles))
	}
	for i, r := range got {
		if r.Certificate != bundles[i].Certificate || r.Version != bundles[i].Version {
			b.Errorf("receipt %d is for %s version %d, want %s version %d", i, r.Certificate, r.Version, bundles[i].Certificate, bundles[i].Version)
		}
		if r.Err == nil {
			b.receipts[r.Certificate] = r
		}
	}
	return got
}

// must delivers and expects no complaint.
func (b *bench) must(bundles ...certfleet.Bundle) {
	b.Helper()
	for _, r := range b.deliver(bundles...) {
		if r.Err != nil {
			b.Fatalf("%s version %d: %v", r.Certificate, r.Version, r.Err)
		}
	}
	for _, x := range bundles {
		b.serves(x)
	}
}

// serves checks that a service reads exactly this version, key and chain.
func (b *bench) serves(want certfleet.Bundle) {
	b.Helper()
	chain, key, err := b.read(want.Certificate)
	if err != nil {
		b.Fatalf("read %s: %v", want.Certificate, err)
	}
	certs, _, err := pki.ParsePair(chain, key)
	if err != nil {
		b.Fatalf("%s is no working pair: %v", want.Certificate, err)
	}
	if got := pki.Fingerprint(certs[0]); got != want.Fingerprint {
		b.Errorf("%s serves %s, want version %d", want.Certificate, got, want.Version)
	}
	if len(certs) != 2 {
		b.Errorf("%s serves %d certificates, want leaf and CA", want.Certificate, len(certs))
	}
}

func (b *bench) bundle(certificate string, version int64) certfleet.Bundle {
	b.Helper()
	return Bundle(b.T, certificate, version, certificate+".example.com")
}

func delivers(b *bench) {
	b.must(b.bundle("shop", 1))
	b.must(b.bundle("shop", 2))
	b.must(Bundle(b.T, "*.example.org", 3, "*.example.org", "example.org"))
}

func idempotent(b *bench) {
	x := b.bundle("shop", 1)
	for range 3 {
		b.must(x)
	}
}

func newerWins(b *bench) {
	older, newer := b.bundle("shop", 7), b.bundle("shop", 8)
	b.must(newer)
	r := b.deliver(older)[0]
	if r.Applied || (r.Err != nil && certfleet.KindOf(r.Err) != certfleet.Conflict) {
		b.Errorf("an older version was answered with applied=%v, %v; want a conflict or a silent no", r.Applied, r.Err)
	}
	b.serves(newer)
}

func keepsLastGood(b *bench) {
	good := b.bundle("shop", 1)
	b.must(good)
	for name, bad := range map[string]certfleet.Bundle{"key of another": b.mixed("shop", 2), "cut chain": b.cut("shop", 3)} {
		if r := b.deliver(bad)[0]; r.Err == nil || r.Applied {
			b.Errorf("%s was taken: applied=%v", name, r.Applied)
		}
		b.serves(good)
	}
}

// mixed has the key of another certificate, which no target may let in.
func (b *bench) mixed(certificate string, version int64) certfleet.Bundle {
	x := b.bundle(certificate, version)
	x.KeyPEM = b.bundle(certificate, version).KeyPEM
	return x
}

func (b *bench) cut(certificate string, version int64) certfleet.Bundle {
	x := b.bundle(certificate, version)
	x.ChainPEM = x.ChainPEM[:len(x.ChainPEM)-100]
	return x
}

func many(b *bench) {
	var all []certfleet.Bundle
	for i := range 25 {
		all = append(all, b.bundle(fmt.Sprintf("site%d", i), int64(i+1)))
	}
	b.must(all...)
}

func oneBad(b *bench) {
	first, last := b.bundle("first", 1), b.bundle("last", 3)
	got := b.deliver(first, b.mixed("bad", 2), last)
	if got[0].Err != nil || got[1].Err == nil || got[2].Err != nil {
		b.Errorf("got %v, %v, %v; want only the second to fail", got[0].Err, got[1].Err, got[2].Err)
	}
	b.serves(first)
	b.serves(last)
}

func holds(b *bench) {
	v, ok := b.target.(certfleet.Verifier)
	if !ok {
		b.Skip("this target is no Verifier")
	}
	b.held(v, "shop", "")
	for version := range int64(2) {
		x := b.bundle("shop", version+1)
		b.must(x)
		b.held(v, "shop", x.Fingerprint)
	}
}

func (b *bench) held(v certfleet.Verifier, certificate, want string) {
	b.Helper()
	got, err := v.Holds(b.Context(), certificate, b.receipts[certificate])
	if err != nil || got != want {
		b.Errorf("%s: holds %q, %v; want %q", certificate, got, err, want)
	}
}

func removes(b *bench) {
	r, ok := b.target.(certfleet.Remover)
	if !ok {
		b.Skip("this target is no Remover")
	}
	stays, goes := b.bundle("stays", 1), b.bundle("goes", 2)
	b.must(stays, goes)
	for range 2 { // the second finds nothing, which is well
		if err := r.Remove(b.Context(), "goes", b.receipts["goes"]); err != nil {
			b.Fatalf("remove: %v", err)
		}
	}
	if chain, key, err := b.read("goes"); chain != nil || key != nil || err != nil {
		b.Errorf("after its removal %d and %d bytes are read, %v", len(chain), len(key), err)
	}
	b.serves(stays)
	b.must(b.bundle("goes", 3))
}
