package porter

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/trial"
)

var testCA = func() *pki.CA {
	ca, err := pki.NewCA("porter test", time.Now())
	if err != nil {
		panic(err)
	}
	return ca
}()

func issue(t testing.TB, names ...string) pki.Issued {
	t.Helper()
	issued, err := testCA.IssueServer(names, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func pack(t testing.TB, names ...string) Pack {
	i := issue(t, names...)
	return Pack{Name: "shop", ChainPEM: i.ChainPEM, KeyPEM: i.KeyPEM, Password: certfleet.Secret("s3cret-pass")}
}

func export(t *testing.T, f Format, p Pack) File {
	t.Helper()
	out, err := Export(f, p)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	return out
}

func run(t *testing.T, stdin []byte, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func TestExportsComeBackWhole(t *testing.T) {
	p := pack(t, "www.example.com", "example.com")
	chain, key, err := pki.ParsePair(p.ChainPEM, p.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	if c, _, err := pki.ParsePair(export(t, PEM, p).Body, export(t, PEM, p).Body); err != nil || len(c) != 2 || !c[0].Equal(chain[0]) {
		t.Errorf("pem: %d certificates, %v", len(c), err)
	}
	if c, err := pki.ParseChain(export(t, DER, p).Body); err != nil || !c[0].Equal(chain[0]) {
		t.Errorf("der: %v", err)
	}
	if k, err := pki.ParseKey(export(t, PKCS8, p).Body); err != nil || pki.SPKI(k) != pki.SPKI(key) {
		t.Errorf("pkcs8: %v", err)
	}
	k, c, cas, err := pkcs12.DecodeChain(export(t, PKCS12, p).Body, "s3cret-pass")
	if err != nil || !c.Equal(chain[0]) || len(cas) != 1 || pki.SPKI(k) != pki.SPKI(key) {
		t.Errorf("pkcs12: %v", err)
	}
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(export(t, JKS, p).Body), []byte("s3cret-pass")); err != nil {
		t.Fatalf("jks: %v", err)
	}
	e, err := ks.GetPrivateKeyEntry("shop", []byte("s3cret-pass"))
	if kk, kerr := pki.ParseKey(e.PrivateKey); err != nil || kerr != nil || pki.SPKI(kk) != pki.SPKI(key) || len(e.CertificateChain) != 2 {
		t.Errorf("jks: %v, %v", err, kerr)
	}
}

func TestZipHoldsTheFourFiles(t *testing.T) {
	p := pack(t, "www.example.com")
	p.Suffix = "12"
	got := unzip(t, export(t, Zip, p))
	if c, _, err := pki.ParsePair([]byte(got["fullchain12.pem"]), certfleet.Secret(got["privkey12.pem"])); err != nil || len(c) != 2 || len(got) != 4 {
		t.Errorf("%d entries, %v", len(got), err)
	}
	if got["cert12.pem"]+got["chain12.pem"] != got["fullchain12.pem"] {
		t.Error("cert and chain do not make up fullchain")
	}
	p.KeyPEM = nil
	if got := unzip(t, export(t, Zip, p)); len(got) != 3 {
		t.Errorf("without a key there are %d entries", len(got))
	}
}

func unzip(t *testing.T, f File) map[string]string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(f.Body), int64(len(f.Body)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range r.File {
		in, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(in)
		out[e.Name] = string(b)
	}
	return out
}

func TestOpenSSLReadsWhatIsExported(t *testing.T) {
	trial.Program(t, "openssl", "openssl")
	p := pack(t, "www.example.com")
	out := run(t, export(t, PKCS12, p).Body, "openssl", "pkcs12", "-nodes", "-passin", "pass:s3cret-pass")
	if _, _, err := pki.ParsePair([]byte(out), certfleet.Secret(out)); err != nil || strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("pkcs12: %v\n%s", err, out)
	}
	if out := run(t, export(t, DER, p).Body, "openssl", "x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"); !strings.Contains(out, "www.example.com") {
		t.Errorf("der: %s", out)
	}
	if out := run(t, export(t, PKCS8, p).Body, "openssl", "pkey", "-inform", "DER", "-noout", "-check"); !strings.Contains(out, "is valid") {
		t.Errorf("pkcs8: %s", out)
	}
}

func TestKeytoolReadsTheKeyStore(t *testing.T) {
	trial.Program(t, "keytool", "default-jre-headless")
	file := filepath.Join(t.TempDir(), "shop.jks")
	os.WriteFile(file, export(t, JKS, pack(t, "www.example.com")).Body, 0o600)
	if out := run(t, nil, "keytool", "-list", "-keystore", file, "-storepass", "s3cret-pass"); !strings.Contains(out, "shop") || !strings.Contains(out, "PrivateKeyEntry") {
		t.Errorf("got %s", out)
	}
}

func TestExportRefusesWithAdvice(t *testing.T) {
	good := pack(t, "www.example.com")
	other := issue(t, "other.example.com")
	for name, row := range map[string]struct {
		f      Format
		change func(*Pack)
	}{
		"unknown format":    {"p7b", func(*Pack) {}},
		"key of another":    {PEM, func(p *Pack) { p.KeyPEM = other.KeyPEM }},
		"pkcs12 keyless":    {PKCS12, func(p *Pack) { p.KeyPEM = nil }},
		"jks keyless":       {JKS, func(p *Pack) { p.KeyPEM = nil }},
		"no password":       {PKCS12, func(p *Pack) { p.Password = nil }},
		"short password":    {JKS, func(p *Pack) { p.Password = certfleet.Secret("12345") }},
		"no certificate":    {PEM, func(p *Pack) { p.ChainPEM = nil }},
		"rubbish in chain":  {DER, func(p *Pack) { p.ChainPEM = []byte("x") }},
		"pkcs8 without key": {PKCS8, func(p *Pack) { p.KeyPEM = nil }},
	} {
		p := good
		row.change(&p)
		if _, err := Export(row.f, p); certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: got %v, want advice", name, err)
		}
	}
}

func TestFileNamesStayFileNames(t *testing.T) {
	for in, want := range map[string]string{"*.example.com": "_.example.com.cer", "../../etc/x": "x.cer", "shop": "shop.cer"} {
		p := pack(t, "www.example.com")
		p.Name = in
		if got := export(t, DER, p).Name; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestBundleSortsCertificatesAndKeys(t *testing.T) {
	a, b, keyless := issue(t, "a.example.com"), issue(t, "b.example.com"), issue(t, "c.example.com")
	in := slices.Concat(b.KeyPEM, []byte("notes\n"), a.ChainPEM, keyless.ChainPEM, b.ChainPEM, a.KeyPEM, a.ChainPEM)
	got, err := ParsePEMBundle(in)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %d pairs, %v", len(got), err)
	}
	for i, want := range []pki.Issued{a, keyless, b} {
		if !bytes.Equal(got[i].ChainPEM, want.ChainPEM) {
			t.Errorf("pair %d (%v) has another chain", i, got[i].Names)
		}
		if keyWanted := i != 1; keyWanted != bytes.Equal(got[i].KeyPEM, want.KeyPEM) {
			t.Errorf("pair %d (%v) has the wrong key", i, got[i].Names)
		}
	}
}

func TestBundleRefusesWithAdvice(t *testing.T) {
	a, b := issue(t, "a.example.com"), issue(t, "b.example.com")
	ca, _, _ := testCA.PEM()
	for name, in := range map[string][]byte{
		"empty": nil, "a stray key": slices.Concat(a.ChainPEM, a.KeyPEM, b.KeyPEM), "CA alone": ca, "key alone": a.KeyPEM, "cut": a.ChainPEM[:len(a.ChainPEM)-50],
	} {
		if _, err := ParsePEMBundle(in); certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: got %v, want advice", name, err)
		}
	}
}

func FuzzParsePEMBundle(f *testing.F) {
	a := issue(f, "a.example.com")
	f.Add([]byte(slices.Concat(a.KeyPEM, a.ChainPEM)))
	f.Add(bytes.ReplaceAll(a.ChainPEM, []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := ParsePEMBundle(b)
		if err != nil {
			if certfleet.AdviceOf(err) == "" {
				t.Fatalf("no advice in %v", err)
			}
			return
		}
		for _, p := range pairs {
			if len(p.KeyPEM) == 0 {
				continue
			}
			if _, _, err := pki.ParsePair(p.ChainPEM, p.KeyPEM); err != nil {
				t.Fatalf("a pair that does not fit: %v", err)
			}
		}
	})
}
