// Package porter brings certificates in from other systems and out in the
// forms that other systems read.
package porter

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// Format is a form that a certificate is exported in.
type Format string

// The formats.
const (
	PEM    Format = "pem"    // key, if there is one, and full chain
	DER    Format = "der"    // the leaf alone
	PKCS8  Format = "pkcs8"  // the key alone, in DER
	PKCS12 Format = "pkcs12" // key and chain under a password
	JKS    Format = "jks"    // a Java key store under a password
	Zip    Format = "zip"    // cert, chain, fullchain and privkey as PEM
)

// Formats are all of them.
var Formats = []Format{PEM, DER, PKCS8, PKCS12, JKS, Zip}

// Pack is what is exported.
type Pack struct {
	Name     string           // the file's name without its ending, and the alias in key stores
	ChainPEM []byte           // leaf first
	KeyPEM   certfleet.Secret // may be empty where the format needs no key
	Password certfleet.Secret // for pkcs12 and jks
	Suffix   string           // put behind the names of a zip's entries, before .pem
}

// File is an export.
type File struct {
	Name string // such as shop.p12
	Type string // media type
	Body certfleet.Secret
}

// opened is a Pack whose parts were read and fit.
type opened struct {
	Pack
	chain []*x509.Certificate
	key   crypto.Signer // nil when there is none
}

// javaPassword is the shortest password that Java's own tools accept.
const javaPassword = 6

func invalid(advice string, cause error, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice, Err: cause}
}

// Export writes a pack in a format. The key is checked to fit first.
func Export(f Format, p Pack) (File, error) {
	o, err := open(p)
	if err != nil {
		return File{}, err
	}
	name := strings.NewReplacer("*", "_", "/", "_", "\\", "_").Replace(filepath.Base("/" + p.Name))
	switch f {
	case PEM:
		return File{name + ".pem", "application/x-pem-file", append(bytes.Clone(p.KeyPEM), pki.EncodeChain(o.chain)...)}, nil
	case DER:
		return File{name + ".cer", "application/pkix-cert", o.chain[0].Raw}, nil
	case Zip:
		body, err := o.zip()
		return File{name + ".zip", "application/zip", body}, err
	case PKCS8, PKCS12, JKS:
		return o.keyed(f, name)
	}
	return File{}, invalid("use one of pem, der, pkcs8, pkcs12, jks, zip", nil, "format %q is not known", f)
}

func open(p Pack) (opened, error) {
	o := opened{Pack: p}
	var err error
	if len(p.KeyPEM) > 0 {
		o.chain, o.key, err = pki.ParsePair(p.ChainPEM, p.KeyPEM)
	} else {
		o.chain, err = pki.ParseChain(p.ChainPEM)
	}
	return o, err
}

// keyed are the formats that hold a key.
func (o opened) keyed(f Format, name string) (File, error) {
	switch {
	case o.key == nil:
		return File{}, invalid("export pem, der or zip, or ask for the key too", nil, "format %s needs the private key", f)
	case f == PKCS12 && len(o.Password) == 0:
		return File{}, invalid("give a password", nil, "format pkcs12 needs a password")
	case f == JKS && len(o.Password) < javaPassword:
		return File{}, invalid("give a longer password", nil, "format jks needs a password of at least %d characters", javaPassword)
	case f == PKCS12:
		// Modern is read by OpenSSL 1.1.1 and later, Windows and Java; the
		// library's newer profile is refused by OpenSSL 3.0.
		body, err := pkcs12.Modern.Encode(o.key, o.chain[0], o.chain[1:], string(o.Password))
		return File{name + ".p12", "application/x-pkcs12", body}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(o.key)
	if err != nil {
		return File{}, fmt.Errorf("write private key: %w", err)
	}
	if f == PKCS8 {
		return File{name + ".key", "application/pkcs8", der}, nil
	}
	body, err := o.jks(der)
	return File{name + ".jks", "application/x-java-keystore", body}, err
}

func (o opened) jks(der []byte) ([]byte, error) {
	var chain []keystore.Certificate
	for _, c := range o.chain {
		chain = append(chain, keystore.Certificate{Type: "X509", Content: c.Raw})
	}
	ks := keystore.New()
	entry := keystore.PrivateKeyEntry{CreationTime: o.chain[0].NotBefore, PrivateKey: der, CertificateChain: chain}
	alias := o.Name
	if alias == "" {
		alias = "certificate"
	}
	if err := ks.SetPrivateKeyEntry(alias, entry, o.Password); err != nil {
		return nil, fmt.Errorf("write key store: %w", err)
	}
	var out bytes.Buffer
	err := ks.Store(&out, o.Password)
	return out.Bytes(), err
}

func (o opened) zip() ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range []struct {
		name string
		body []byte
	}{
		{"cert", pki.EncodeChain(o.chain[:1])}, {"chain", pki.EncodeChain(o.chain[1:])},
		{"fullchain", pki.EncodeChain(o.chain)}, {"privkey", o.KeyPEM},
	} {
		if e.name == "privkey" && o.key == nil {
			continue
		}
		f, err := w.Create(e.name + o.Suffix + ".pem")
		if err == nil {
			_, err = f.Write(e.body)
		}
		if err != nil {
			return nil, fmt.Errorf("write zip: %w", err)
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
