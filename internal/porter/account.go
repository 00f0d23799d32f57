package porter

import (
	"crypto"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// CertbotAccount is one ACME account that certbot registered.
type CertbotAccount struct {
	ID       string // certbot's own
	Server   string // directory URL
	URL      string // the account at the CA
	Contact  []string
	KeyPEM   certfleet.Secret // PKCS #8
	KeyType  certfleet.KeyType
	Created  string // as certbot wrote it
	Host     string // where it was created
	Problems []string
}

// ReadCertbotAccounts reads every account of a certbot folder. An account that
// is broken is listed with its problems.
func ReadCertbotAccounts(dir string) ([]CertbotAccount, error) {
	top := filepath.Join(dir, "accounts")
	var out []CertbotAccount
	err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "private_key.json" {
			return err
		}
		out = append(out, readAccount(top, filepath.Dir(p)))
		return nil
	})
	if err != nil {
		return nil, invalid("name the folder that holds accounts, such as /etc/letsencrypt, and let certfleet read it", err, "the accounts of %q cannot be read", dir)
	}
	return out, nil
}

// ReadCertbotAccount reads one account from the folder of its own, which holds
// private_key.json, and regr.json with its URL. Its Server is left empty: the
// folder may lie anywhere.
func ReadCertbotAccount(dir string) (CertbotAccount, error) {
	dir = filepath.Clean(dir)
	a := readAccount(dir, dir)
	a.Server = ""
	if len(a.KeyPEM) == 0 {
		return a, invalid("name the folder of one account, which holds private_key.json, or import all with certfleet import certbot FOLDER --accounts", nil, "%q holds no account of certbot that can be read", dir)
	}
	return a, nil
}

// readAccount reads accounts/HOST/PATH/ID, whose path is the directory's URL.
func readAccount(top, dir string) CertbotAccount {
	rel, _ := filepath.Rel(top, filepath.Dir(dir))
	a := CertbotAccount{ID: filepath.Base(dir), Server: "https://" + filepath.ToSlash(rel)}
	var regr struct {
		URI  string
		Body struct{ Contact []string }
	}
	var meta struct {
		Created string `json:"creation_dt"`
		Host    string `json:"creation_host"`
	}
	a.read(filepath.Join(dir, "regr.json"), &regr)
	a.read(filepath.Join(dir, "meta.json"), &meta)
	a.URL, a.Contact, a.Created, a.Host = regr.URI, regr.Body.Contact, meta.Created, meta.Host
	b, err := readBounded(filepath.Join(dir, "private_key.json"))
	if err == nil {
		a.KeyPEM, a.KeyType, err = ParseAccountKey(b)
	}
	if err != nil {
		a.Problems = append(a.Problems, fmt.Sprintf("its key cannot be read (%s)", reason(err)))
	}
	return a
}

func (a *CertbotAccount) read(path string, into any) {
	b, err := readBounded(path)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		a.Problems = append(a.Problems, fmt.Sprintf("%s cannot be read (%s)", filepath.Base(path), reason(err)))
	}
}

// ParseAccountKey reads an account's private key, as a JWK (RFC 7517) or as any
// form that a certificate's key may have, and answers it as PKCS #8.
func ParseAccountKey(b []byte) (certfleet.Secret, certfleet.KeyType, error) {
	key, err := accountKey(b)
	if err != nil {
		return nil, "", err
	}
	kind, err := pki.KeyTypeOf(key)
	if err != nil {
		return nil, "", err
	}
	pem, err := pki.MarshalKey(key)
	return pem, kind, err
}

func accountKey(b []byte) (crypto.Signer, error) {
	if !json.Valid(b) {
		return pki.ParseKey(b)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(b); err != nil {
		return nil, invalid("give the private_key.json of an account, or a key in PEM form", nil, "this is not a private key in JWK form")
	}
	key, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, invalid("give the private key, which has a member named d", nil, "the JWK holds no private key")
	}
	return key, nil
}
