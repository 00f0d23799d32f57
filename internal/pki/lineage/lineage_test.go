package lineage

import (
	"bytes"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

func bundle(t testing.TB, ca *pki.CA, names ...string) certfleet.Bundle {
	t.Helper()
	issued, err := ca.IssueServer(names, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain, err := pki.ParseChain(issued.ChainPEM)
	if err != nil {
		t.Fatal(err)
	}
	return certfleet.Bundle{Certificate: "shop", Version: 7, ChainPEM: issued.ChainPEM, KeyPEM: issued.KeyPEM, Names: pki.NamesOf(chain[0]), Fingerprint: pki.Fingerprint(chain[0])}
}

func split(t testing.TB, b certfleet.Bundle) map[string][]byte {
	t.Helper()
	files, err := Split(b)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func only(files map[string][]byte, names ...string) map[string][]byte {
	out := map[string][]byte{}
	for _, n := range names {
		out[n] = files[n]
	}
	return out
}

func TestJoinIsTheInverseOfSplit(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, other := bundle(t, ca, "shop.example"), bundle(t, ca, "shop.example")
	all, strange := split(t, b), split(t, other)
	for name, row := range map[string]struct {
		files map[string][]byte
		live  certfleet.Secret
		kind  certfleet.Kind
		ok    bool
	}{
		"everything":            {files: all, ok: true},
		"as certdeploy pushes":  {files: only(all, FullChain, PrivKey), ok: true},
		"two parts":             {files: only(all, Cert, Chain, PrivKey), ok: true},
		"key is live already":   {files: only(all, FullChain), live: b.KeyPEM, ok: true},
		"another key is live":   {files: only(all, FullChain), live: other.KeyPEM, kind: certfleet.NotFound},
		"no key at all":         {files: only(all, FullChain), kind: certfleet.NotFound},
		"no chain":              {files: only(all, PrivKey), kind: certfleet.NotFound},
		"key of another":        {files: map[string][]byte{FullChain: all[FullChain], PrivKey: strange[PrivKey]}, kind: certfleet.Invalid},
		"chain of another leaf": {files: map[string][]byte{FullChain: all[FullChain], Cert: strange[Cert], PrivKey: all[PrivKey]}, kind: certfleet.Invalid},
		"wrong order":           {files: map[string][]byte{FullChain: append(bytes.Clone(all[Chain]), all[Cert]...), PrivKey: all[PrivKey]}, kind: certfleet.Invalid},
		"cut chain":             {files: map[string][]byte{FullChain: all[FullChain][:len(all[FullChain])-50], PrivKey: all[PrivKey]}, kind: certfleet.Invalid},
		"empty chain":           {files: map[string][]byte{FullChain: nil, PrivKey: all[PrivKey]}, kind: certfleet.Invalid},
	} {
		got, err := Join("shop", row.files, row.live, nil, time.Now())
		if row.ok && (err != nil || got.Fingerprint != b.Fingerprint || !bytes.Equal(got.KeyPEM, b.KeyPEM)) {
			t.Errorf("%s: %v", name, err)
		}
		if !row.ok && (err == nil || certfleet.KindOf(err) != row.kind || certfleet.AdviceOf(err) == "") {
			t.Errorf("%s: got %v, want kind %v with advice", name, err, row.kind)
		}
	}
}

func TestJoinChecksNamesAndTime(t *testing.T) {
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files := split(t, bundle(t, ca, "shop.example"))
	more, _ := certfleet.ParseNames([]string{"shop.example", "other.example"})
	if _, err := Join("shop", files, nil, &Paper{Names: more}, time.Now()); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("a name of the manifest is missing: %v", err)
	}
	for _, now := range []time.Time{time.Now().Add(2 * time.Hour), time.Now().Add(-2 * time.Hour)} {
		if _, err := Join("shop", files, nil, nil, now); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("at %v: %v", now, err)
		}
	}
	nameless, _ := ca.IssueServer(nil, time.Hour, time.Now())
	if _, err := Join("shop", map[string][]byte{FullChain: nameless.ChainPEM, PrivKey: nameless.KeyPEM}, nil, nil, time.Now()); err == nil {
		t.Error("a certificate for no name was taken")
	}
}

func TestPaperKnowsWhenAllIsThere(t *testing.T) {
	files := map[string][]byte{FullChain: []byte("a"), PrivKey: []byte("b"), Manifest: []byte("c")}
	p := Paper{Files: map[string]string{FullChain: Sum([]byte("a")), PrivKey: Sum([]byte("b"))}}
	if !p.Complete(files) {
		t.Error("the whole is not complete")
	}
	for name, f := range map[string]map[string][]byte{
		"one is missing": only(files, FullChain), "one too many": {FullChain: []byte("a"), PrivKey: []byte("b"), Cert: []byte("x")},
		"one is cut": {FullChain: []byte(""), PrivKey: []byte("b")}, "nothing": {},
	} {
		if p.Complete(f) {
			t.Errorf("%s: complete", name)
		}
	}
	if (Paper{}).Complete(nil) {
		t.Error("an empty manifest makes nothing complete")
	}
}

func FuzzJoin(f *testing.F) {
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	files := split(f, bundle(f, ca, "shop.example"))
	f.Add(files[FullChain], files[PrivKey], files[Chain])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, full, key, chain []byte) {
		b, err := Join("shop", map[string][]byte{FullChain: full, PrivKey: key, Chain: chain}, nil, nil, time.Now())
		if err != nil {
			return
		}
		if _, _, err := pki.ParsePair(b.ChainPEM, b.KeyPEM); err != nil || len(b.Names) == 0 {
			t.Errorf("what was joined is no pair: %v", err)
		}
	})
}
