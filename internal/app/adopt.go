package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// Adopted is one version that a CA issued and the restored database did not know.
type Adopted struct {
	Names       []string  `json:"names"`
	Certificate string    `json:"certificate,omitempty"`
	Authority   string    `json:"authority"`
	VersionID   int64     `json:"version_id"`
	NotAfter    time.Time `json:"not_after"`
	InUse       bool      `json:"in_use"` // its key is here, so it was put to use
}

// Say is that in a sentence.
func (a Adopted) Say() string {
	if a.InUse {
		return fmt.Sprintf("%s issued a version of %s since, until %s; it is in use", a.Authority, a.Certificate, a.NotAfter.Format(time.DateOnly))
	}
	return fmt.Sprintf("%s issued one for %v since, until %s; it is on record, but its key was lost with what came after the backup", a.Authority, a.Names, a.NotAfter.Format(time.DateOnly))
}

// mostOrders bounds how many orders of one account are asked for.
const mostOrders = 10000

// AdoptIssued asks every CA that lists orders (RFC 8555 section 7.1.2.1) for what
// it issued to us and we do not know.
func AdoptIssued(ctx context.Context, c *config.Config, into string) ([]Adopted, error) {
	if into != "" {
		c.Database = config.Database(into)
	}
	a, err := New(ctx, c, Options{})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	ctx = store.WithActor(ctx, "user:restore")
	accounts, err := a.DB.Accounts(ctx, certfleet.DefaultTenant)
	if err != nil {
		return nil, err
	}
	var out []Adopted
	var all []error
	for _, acct := range accounts {
		if acct.State != certfleet.AccountValid {
			continue
		}
		got, err := a.adoptFrom(ctx, &acct)
		out = append(out, got...)
		if err != nil {
			all = append(all, fmt.Errorf("account %s: %w", acct.Label, err))
		}
	}
	return out, errors.Join(all...)
}

func (a *App) adoptFrom(ctx context.Context, acct *certfleet.Account) ([]Adopted, error) {
	client, err := a.Issue.ClientOf(ctx, acct.AuthorityID)
	if err != nil {
		return nil, err
	}
	key, err := a.DB.Key(ctx, acct.KeyID)
	if err != nil {
		return nil, err
	}
	signer, err := a.Keys.OpenKey(ctx, key)
	if err != nil {
		return nil, err
	}
	as := acme.Account{URL: acct.URL, Key: signer}
	known, err := a.knownOrders(ctx, acct.ID)
	if err != nil {
		return nil, err
	}
	info, err := client.AccountInfo(ctx, as)
	if err != nil || info.Orders == "" {
		return nil, err
	}
	var out []Adopted
	for page, n := info.Orders, 0; page != "" && n < mostOrders; {
		urls, next, err := client.Orders(ctx, as, page)
		if err != nil {
			return out, err
		}
		for _, url := range urls {
			if n++; known[url] {
				continue
			}
			got, err := a.adopt(ctx, client, as, acct, url)
			if err != nil {
				return out, err
			}
			if got != nil {
				out = append(out, *got)
			}
		}
		page = next
	}
	return out, nil
}

// knownOrders are the URLs of the orders that we know the end of.
func (a *App) knownOrders(ctx context.Context, account int64) (map[string]bool, error) {
	known := map[string]bool{}
	for f := (store.OrderFilter{AccountID: account, Limit: 1000}); ; {
		list, next, err := a.DB.Orders(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			known[o.URL] = true
		}
		if next == (store.Cursor{}) {
			return known, nil
		}
		f.After = next
	}
}

func (a *App) adopt(ctx context.Context, client *acme.Client, as acme.Account, acct *certfleet.Account, url string) (*Adopted, error) {
	o, err := client.GetOrder(ctx, as, url)
	if err != nil || o.Status != "valid" || o.Certificate == "" {
		return nil, ignoreGone(err)
	}
	chains, err := client.Certificate(ctx, as, o.Certificate)
	if err != nil || len(chains) == 0 {
		return nil, ignoreGone(err)
	}
	chain, err := pki.ParseChain(chains[0])
	if err != nil {
		return nil, err
	}
	if time.Now().After(chain[0].NotAfter) {
		return nil, nil
	}
	if _, err := a.DB.VersionByFingerprint(ctx, acct.Tenant, pki.Fingerprint(chain[0])); certfleet.KindOf(err) != certfleet.NotFound {
		return nil, err
	}
	return a.record(ctx, acct, chain[0], chains)
}

// ignoreGone passes by what the CA has forgotten.
func ignoreGone(err error) error {
	if p, ok := errors.AsType[*acme.Problem](err); ok && p.Status == 404 {
		return nil
	}
	return err
}

// record keeps the version; where its key is here and a certificate wants just
// its names, it is put to use.
func (a *App) record(ctx context.Context, acct *certfleet.Account, leaf *x509.Certificate, chains [][]byte) (*Adopted, error) {
	ca, err := a.DB.Authority(ctx, acct.AuthorityID)
	if err != nil {
		return nil, err
	}
	v := issue.VersionOf(leaf, chains[0])
	v.Tenant, v.Origin, v.AuthorityID = acct.Tenant, "issued", ca.ID
	if key, err := a.DB.KeyBySPKI(ctx, acct.Tenant, v.SPKI); err == nil {
		v.KeyID = key.ID
	}
	cert, err := a.wanting(ctx, acct.Tenant, v.Names)
	if err != nil {
		return nil, err
	}
	out := &Adopted{Names: certfleet.Strings(v.Names), Authority: ca.Label, NotAfter: v.NotAfter}
	var kept []certfleet.Chain
	for i, pem := range chains {
		if c, err := pki.ParseChain(pem); err == nil {
			kept = append(kept, certfleet.Chain{Position: i, Issuer: pki.TopIssuer(c), PEM: pem})
		}
	}
	return out, a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		if cert != nil {
			v.CertificateID, out.Certificate = cert.ID, cert.Label
		}
		if err := tx.AddVersion(ctx, v, kept); err != nil {
			return err
		}
		out.VersionID = v.ID
		if cert != nil && v.KeyID != 0 && v.NotAfter.After(cert.NotAfter) {
			out.InUse = true
			typ, _ := pki.KeyTypeOf(leaf.PublicKey)
			if err := issue.Adopt(ctx, tx, cert, v, issue.SlotFor(typ)); err != nil {
				return err
			}
		}
		return tx.Event(ctx, certfleet.Event{Kind: "version.adopted", Tenant: v.Tenant, CertificateID: v.CertificateID, VersionID: v.ID, Msg: out.Say()})
	})
}

// wanting is the certificate that wants exactly these names, if there is one.
func (a *App) wanting(ctx context.Context, tenant int64, names []certfleet.Name) (*certfleet.Certificate, error) {
	if len(names) == 0 {
		return nil, nil
	}
	list, err := a.DB.CertificatesOf(ctx, tenant, names[0])
	for _, c := range list {
		if c.State != certfleet.Removed && certfleet.SetKey(c.Names) == certfleet.SetKey(names) {
			return &c, err
		}
	}
	return nil, err
}
