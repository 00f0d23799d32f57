package app

import (
	"context"
	"crypto/x509"
	"os"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/porter"
)

// OpenReference opens a secret that file:PATH or env:NAME refers to.
func OpenReference(ref string) (certfleet.Secret, error) { return dial.Reference(ref) }

// Roots are what a command on the manager's host trusts: the system's roots and
// the private CA.
func Roots(c *config.Config) *x509.CertPool {
	pem, err := os.ReadFile(StatePath(c, CACertFile))
	if err != nil {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(pem)
	return roots
}

// Lineage is one certificate that certbot manages.
type Lineage = porter.Lineage

// CertbotAccount is one ACME account that certbot registered.
type CertbotAccount = porter.CertbotAccount

// ReadCertbot reads every lineage of a certbot folder.
func ReadCertbot(dir string) ([]Lineage, error) { return porter.ReadCertbot(dir) }

// ReadCertbotAccounts reads every account of a certbot folder.
func ReadCertbotAccounts(dir string) ([]CertbotAccount, error) {
	return porter.ReadCertbotAccounts(dir)
}

// directoryTime bounds one question for a CA's directory.
const directoryTime = 10 * time.Second

// Terms asks a CA for where its terms of service are; trust is PEM, empty for
// the system's roots.
func Terms(ctx context.Context, directory, trust string) (string, error) {
	d, err := askDirectory(ctx, &certfleet.Authority{Label: directory, DirectoryURL: directory, TrustPEM: trust})
	return d.Meta.TermsOfService, err
}

func askDirectory(ctx context.Context, ca *certfleet.Authority) (acme.Directory, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTime)
	defer cancel()
	client, err := (&App{}).client(ca, nil)
	if err != nil {
		return acme.Directory{}, err
	}
	return client.Directory(ctx)
}

// ReadCertbotAccount reads one account from its folder.
func ReadCertbotAccount(dir string) (CertbotAccount, error) { return porter.ReadCertbotAccount(dir) }
