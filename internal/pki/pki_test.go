package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/trial"
)

// chain is root -> intermediate -> leaf, as public CAs have it.
type chain struct {
	root, inter, leaf *x509.Certificate
	key               crypto.Signer
}

func newChain(t testing.TB, names ...string) chain {
	t.Helper()
	rk, ik, lk := key(t, certfleet.P256), key(t, certfleet.P256), key(t, certfleet.P256)
	root := must(sign(caTemplate("Root X"), caTemplate("Root X"), rk.Public(), rk))(t)
	inter := must(sign(caTemplate("Inter I"), root, ik.Public(), rk))(t)
	leaf := &x509.Certificate{DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	return chain{root, inter, must(sign(leaf, inter, lk.Public(), ik))(t), lk}
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func key(t testing.TB, kt certfleet.KeyType) crypto.Signer {
	t.Helper()
	return must(GenerateKey(kt))(t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func parsed(s ...string) []certfleet.Name {
	n, err := certfleet.ParseNames(s)
	if err != nil {
		panic(err)
	}
	return n
}

func TestParseChainPutsTheLeafFirst(t *testing.T) {
	c := newChain(t, "www.example.com")
	want := []*x509.Certificate{c.leaf, c.inter, c.root}
	text := func(certs ...*x509.Certificate) []byte {
		var b bytes.Buffer
		for i, c := range certs {
			fmt.Fprintf(&b, "subject %d of the chain\r\n%s\r\n", i, EncodeChain([]*x509.Certificate{c}))
		}
		return b.Bytes()
	}
	keyPEM := must(MarshalKey(c.key))(t)
	for name, in := range map[string][]byte{
		"in order":       text(c.leaf, c.inter, c.root),
		"reversed":       text(c.root, c.inter, c.leaf),
		"shuffled":       text(c.inter, c.leaf, c.root),
		"doubled":        text(c.leaf, c.inter, c.leaf, c.root, c.inter),
		"with a key":     append(slices.Clone([]byte(keyPEM)), text(c.leaf, c.inter, c.root)...),
		"with a BOM":     append([]byte("\xef\xbb\xbf"), EncodeChain(want)...),
		"with CRLF":      bytes.ReplaceAll(EncodeChain(want), []byte("\n"), []byte("\r\n")),
		"DER":            slices.Concat(c.leaf.Raw, c.inter.Raw, c.root.Raw),
		"DER, reversed":  slices.Concat(c.root.Raw, c.inter.Raw, c.leaf.Raw),
		"our own output": EncodeChain(want),
	} {
		got, err := ParseChain(in)
		if err != nil || !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
			t.Errorf("%s: got %d certificates, %v", name, len(got), err)
		}
	}
}

func TestParseChainKeepsACrossSignedIssuer(t *testing.T) {
	c, other := newChain(t, "a.example.com"), newChain(t, "b.example.com")
	ok := key(t, certfleet.P256)
	tm := caTemplate("Root X")
	cross := must(sign(tm, must(sign(caTemplate("Old Root"), caTemplate("Old Root"), ok.Public(), ok))(t), c.root.PublicKey, ok))(t)
	got, err := ParseChain(EncodeChain([]*x509.Certificate{cross, c.root, c.leaf, c.inter}))
	if err != nil || len(got) != 4 || !got[0].Equal(c.leaf) || !got[1].Equal(c.inter) {
		t.Errorf("got %d certificates, %v", len(got), err)
	}
	if _, err := ParseChain(EncodeChain([]*x509.Certificate{c.leaf, other.leaf})); certfleet.AdviceOf(err) == "" {
		t.Errorf("two leaves: got %v, want advice", err)
	}
}

func TestParseChainPrefersTheIssuerThatSigned(t *testing.T) {
	c, twin := newChain(t, "a.example.com"), newChain(t, "b.example.com") // same CA names, other keys
	got, err := ParseChain(EncodeChain([]*x509.Certificate{twin.inter, c.leaf, c.inter}))
	if err != nil || !got[1].Equal(c.inter) {
		t.Errorf("got %v; the intermediate that signed the leaf comes second", err)
	}
}

func TestParseChainRefusesWithAdvice(t *testing.T) {
	c := newChain(t, "www.example.com")
	whole := EncodeChain([]*x509.Certificate{c.leaf, c.inter})
	for name, in := range map[string][]byte{
		"empty":          nil,
		"text":           []byte("hello"),
		"key alone":      must(MarshalKey(c.key))(t),
		"cut in the end": whole[:len(whole)-40],
		"cut DER":        c.leaf.Raw[:100],
		"huge":           bytes.Repeat([]byte{'x'}, maxInput+1),
		"bundle":         EncodeChain(many(t, maxChain+1)),
		"stranger":       EncodeChain([]*x509.Certificate{c.leaf, must(NewCA("Stranger", time.Now()))(t).Certificate}),
	} {
		if _, err := ParseChain(in); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: got %v, want an invalid with advice", name, err)
		}
	}
}

func many(t *testing.T, n int) (out []*x509.Certificate) {
	k := key(t, certfleet.P256)
	for range n {
		out = append(out, must(sign(caTemplate("Root"), caTemplate("Root"), k.Public(), k))(t))
	}
	return out
}

func TestKeysComeBackFromEveryForm(t *testing.T) {
	for _, kt := range []certfleet.KeyType{certfleet.P256, certfleet.P384, certfleet.RSA2048, certfleet.RSA3072} {
		k := key(t, kt)
		if got, err := KeyTypeOf(k); err != nil || got != kt {
			t.Errorf("%s: type %s, %v", kt, got, err)
		}
		for form, b := range forms(t, k) {
			got, err := ParseKey(b)
			if err != nil || !same(got.Public(), k.Public()) {
				t.Errorf("%s as %s: %v", kt, form, err)
			}
		}
	}
}

func forms(t *testing.T, k crypto.Signer) map[string][]byte {
	p8 := must(x509.MarshalPKCS8PrivateKey(k))(t)
	out := map[string][]byte{"PKCS #8": p8, "PEM": must(MarshalKey(k))(t)}
	out["PEM after parameters"] = append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), out["PEM"]...)
	old, der := traditional(t, k)
	out[old] = der
	out[old+" PEM"] = pem.EncodeToMemory(&pem.Block{Type: old, Bytes: der})
	return out
}

// traditional is PKCS #1 or SEC 1, as openssl wrote keys for decades.
func traditional(t *testing.T, k crypto.Signer) (string, []byte) {
	if k, ok := k.(*rsa.PrivateKey); ok {
		return "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)
	}
	return "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k.(*ecdsa.PrivateKey)))(t)
}

func TestParseKeyNeverRepeatsItsInput(t *testing.T) {
	k := must(MarshalKey(key(t, certfleet.P256)))(t)
	two := append(slices.Clone([]byte(k)), must(MarshalKey(key(t, certfleet.P256)))(t)...)
	for name, in := range map[string][]byte{
		"text": []byte("hunter2"), "empty": nil, "cut": k[:len(k)-60], "two keys": two,
		"garbled": bytes.Replace(k, []byte("MIGH"), []byte("AAAA"), 1),
	} {
		_, err := ParseKey(in)
		if certfleet.AdviceOf(err) == "" || strings.Contains(err.Error(), "hunter2") || (len(in) > 80 && strings.Contains(err.Error(), string(in[40:60]))) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEncryptedKeysAreExplained uses what openssl writes, in its old and new forms.
func TestEncryptedKeysAreExplained(t *testing.T) {
	trial.Program(t, "openssl", "openssl")
	plain := filepath.Join(t.TempDir(), "k.pem")
	os.WriteFile(plain, must(MarshalKey(key(t, certfleet.RSA2048)))(t), 0o600)
	for _, args := range []string{
		"pkcs8 -topk8 -v2 aes256 -passout pass:secret -in " + plain,
		"pkcs8 -topk8 -v2 aes256 -outform DER -passout pass:secret -in " + plain,
		"rsa -aes128 -traditional -passout pass:secret -in " + plain,
	} {
		out, err := exec.Command("openssl", strings.Fields(args)...).Output()
		if err != nil {
			t.Fatalf("openssl %s: %v", args, err)
		}
		if _, err := ParseKey(out); err == nil || !strings.Contains(certfleet.AdviceOf(err), "passphrase") {
			t.Errorf("%s: got %v", args, err)
		}
	}
	trad, err := exec.Command("openssl", "rsa", "-traditional", "-in", plain).Output()
	if _, perr := ParseKey(trad); err != nil || perr != nil {
		t.Errorf("PKCS #1 of openssl: %v, %v", err, perr)
	}
}

func TestKeyFitsItsCertificateAlone(t *testing.T) {
	c := newChain(t, "www.example.com")
	if !KeyFits(c.leaf, c.key) || CheckKey(c.leaf, c.key) != nil {
		t.Error("its own key does not fit")
	}
	for name, k := range map[string]crypto.Signer{"other": key(t, certfleet.P256), "other type": key(t, certfleet.RSA2048), "none": nil} {
		if KeyFits(c.leaf, k) || certfleet.AdviceOf(CheckKey(c.leaf, k)) == "" {
			t.Errorf("%s key fits", name)
		}
	}
	if SPKI(c.key) != SPKI(c.leaf.PublicKey) || len(SPKI(c.key)) != 64 || len(Fingerprint(c.leaf)) != 64 {
		t.Error("SPKI of key and certificate differ")
	}
}

func TestSerialIsWholeBytes(t *testing.T) {
	if s := Serial(&x509.Certificate{SerialNumber: big.NewInt(0xabc)}); s != "0abc" {
		t.Errorf("got %q", s)
	}
}

func TestCSRHasAllNamesAndNoCommonName(t *testing.T) {
	names := parsed("www.example.com", "*.example.com", "192.0.2.7", "2001:db8::1")
	req := must(x509.ParseCertificateRequest(must(CSR(key(t, certfleet.P256), names))(t)))(t)
	if err := req.CheckSignature(); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(req.Subject.CommonName, req.DNSNames, req.IPAddresses); got != "[www.example.com *.example.com] [192.0.2.7 2001:db8::1]" {
		t.Errorf("got %s", got)
	}
}

func TestCheckLeafSaysWhatIsWrong(t *testing.T) {
	c := newChain(t, "www.example.com", "*.example.org")
	now := time.Now()
	for _, row := range []struct {
		name string
		cert *x509.Certificate
		want []certfleet.Name
		at   time.Time
		says string
	}{
		{"good", c.leaf, parsed("www.example.com", "a.example.org", "*.example.org"), now, ""},
		{"a name too many", c.leaf, parsed("www.example.com", "x.example.net", "a.b.example.org"), now, "x.example.net, a.b.example.org"},
		{"expired", c.leaf, nil, now.Add(48 * time.Hour), "expired"},
		{"too early", c.leaf, nil, now.Add(-48 * time.Hour), "only from"},
		{"a CA", c.inter, nil, now, "is a CA's"},
	} {
		err := CheckLeaf(row.cert, row.want, row.at)
		if (row.says == "") != (err == nil) || (err != nil && (!strings.Contains(err.Error(), row.says) || certfleet.AdviceOf(err) == "")) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.says)
		}
	}
	if got := TopIssuer([]*x509.Certificate{c.leaf, c.inter}); got != "Root X" {
		t.Errorf("topmost issuer %q", got)
	}
}

func TestNamesOfFallsBackToTheCommonName(t *testing.T) {
	old := &x509.Certificate{Subject: pkix.Name{CommonName: "Old.example.com"}}
	odd := &x509.Certificate{Subject: pkix.Name{CommonName: "cn.example.com"}, DNSNames: []string{"b.example.com", "bad_name", "B.example.com", "a.example.com"}}
	if got := certfleet.Strings(NamesOf(old)); !slices.Equal(got, []string{"old.example.com"}) {
		t.Errorf("got %v", got)
	}
	if got := certfleet.Strings(NamesOf(odd)); !slices.Equal(got, []string{"b.example.com", "a.example.com"}) {
		t.Errorf("got %v", got)
	}
}

func TestPrivateCAServesAndKnowsItsClients(t *testing.T) {
	ca := must(NewCA("certfleet test", time.Now()))(t)
	certPEM, keyPEM, err := ca.PEM()
	if err != nil {
		t.Fatal(err)
	}
	ca = must(LoadCA(certPEM, keyPEM))(t)
	if got := time.Until(ca.Certificate.NotAfter); got < 3650*24*time.Hour {
		t.Errorf("the CA lives for %s", got)
	}
	server := pair(t, must(ca.IssueServer([]string{"localhost", "127.0.0.1"}, time.Hour, time.Now()))(t))
	client := pair(t, must(ca.IssueClient("agent-7", time.Hour, time.Now()))(t))
	ln := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}))(t)
	defer ln.Close()
	seen := make(chan string, 1)
	go func() {
		defer close(seen)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if tc := c.(*tls.Conn); tc.Handshake() == nil {
			seen <- tc.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
	}()
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{client}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := <-seen; got != "agent-7" {
		t.Errorf("the server saw %q", got)
	}
}

func pair(t *testing.T, i Issued) tls.Certificate {
	t.Helper()
	return must(tls.X509KeyPair(i.ChainPEM, i.KeyPEM))(t)
}

func TestLoadCARefusesAnotherKey(t *testing.T) {
	a, b := must(NewCA("a", time.Now()))(t), must(NewCA("b", time.Now()))(t)
	certPEM, _, _ := a.PEM()
	_, keyPEM, _ := b.PEM()
	if _, err := LoadCA(certPEM, keyPEM); certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v, want advice", err)
	}
	leaf := must(a.IssueServer([]string{"localhost"}, time.Hour, time.Now()))(t)
	if _, err := LoadCA(leaf.ChainPEM, leaf.KeyPEM); err == nil {
		t.Error("a leaf was loaded as a CA")
	}
}
