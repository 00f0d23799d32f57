package pki

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

func FuzzParseChain(f *testing.F) {
	c := newChain(f, "www.example.com")
	for _, certs := range [][]byte{c.leaf.Raw, append(c.root.Raw, c.leaf.Raw...)} {
		f.Add(certs)
	}
	issued := must(must(NewCA("f", time.Now()))(f).IssueServer([]string{"a.example.com"}, time.Hour, time.Now()))(f)
	f.Add(issued.ChainPEM)
	f.Add(append([]byte("text\n"), issued.ChainPEM[:200]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, err := ParseChain(b)
		if err != nil {
			if certfleet.AdviceOf(err) == "" {
				t.Fatalf("no advice in %v", err)
			}
			return
		}
		again, err := ParseChain(EncodeChain(chain))
		if err != nil || len(again) != len(chain) || !again[0].Equal(chain[0]) {
			t.Fatalf("what was parsed once does not parse again: %v", err)
		}
		TopIssuer(chain)
		NamesOf(chain[0])
	})
}

func FuzzParseKey(f *testing.F) {
	for _, kt := range []certfleet.KeyType{certfleet.P256, certfleet.RSA2048} {
		f.Add([]byte(must(MarshalKey(key(f, kt)))(f)))
	}
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err != nil {
			if certfleet.AdviceOf(err) == "" {
				t.Fatalf("no advice in %v", err)
			}
			return
		}
		p, err := MarshalKey(k)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKey(p)
		if err != nil || !same(again.Public(), k.Public()) {
			t.Fatalf("what was parsed once does not parse again: %v", err)
		}
	})
}
