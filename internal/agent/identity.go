package agent

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
)

// identity is who this agent is to its manager. The key was made here and has
// never been elsewhere.
type identity struct {
	Manager     string `json:"manager"`
	Agent       string `json:"agent"`
	CA          string `json:"ca"` // SHA-256 of the private CA's certificate
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
}

// loadIdentity reads the identity; nil when this agent never joined.
func loadIdentity(file string) (*identity, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var id identity
	if err == nil {
		err = json.Unmarshal(text, &id)
	}
	if err == nil {
		_, err = id.pair()
	}
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("identity %q cannot be used", file), Advice: "let the agent's user read it, or join again with certfleet-agent join", Err: err}
	}
	return &id, nil
}

// save writes the identity whole or not at all, for its owner alone.
func (id *identity) save(file string) error { return keep(file, id) }

// keep writes a document with a key in it whole or not at all, for its owner alone.
func keep(file string, doc any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp := file + "." + rand.Text()
	defer os.Remove(temp)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, file)
}

func (id *identity) pair() (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(id.Certificate), []byte(id.Key))
}

// dress makes a new key and a request for it.
func dress(name string) (key crypto.Signer, request []byte, err error) {
	if key, err = pki.GenerateKey(certfleet.P256); err != nil {
		return nil, nil, err
	}
	request, err = pki.ClientRequest(key, name)
	return key, request, err
}

// with is the identity with another key and certificate, once they fit.
func (id *identity) with(key crypto.Signer, got api.Identity) (*identity, error) {
	text, err := pki.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	next := *id
	next.Certificate, next.Key = got.Certificate, string(text)
	if _, err := next.pair(); err != nil {
		return nil, fmt.Errorf("take the client certificate over: %w", err)
	}
	return &next, nil
}

// secure is how this agent speaks with its manager, and with nobody else: the
// other side must show a server certificate of the very CA that the invitation
// named. Host names play no part, since that CA makes server certificates for
// its manager alone.
func (id *identity) secure() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{api.AgentProtocol, "http/1.1"}, InsecureSkipVerify: true, VerifyConnection: id.judge}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if id.Key == "" {
			return &tls.Certificate{}, nil // it has not joined yet
		}
		pair, err := id.pair()
		return &pair, err
	}
	return c
}

func (id *identity) judge(s tls.ConnectionState) error {
	for _, c := range s.PeerCertificates {
		if pki.Fingerprint(c) != id.CA {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return &certfleet.Error{Kind: certfleet.Denied, Msg: "the manager's certificate is not good: " + err.Error(), Advice: "compare this machine's clock with the manager's"}
		}
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "who answers at " + id.Manager + " is not the manager that invited this agent", Advice: "let the manager's own TLS through, without a proxy that ends it, or join again with a new invitation"}
}
