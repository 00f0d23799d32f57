package takeover

import (
	"context"
	"strings"

	"github.com/certfleet/certfleet/client"
)

// The keys of the labels that say where something came from.
const (
	AccountLabel = "peter_sslers.account"
	FactoryLabel = "peter_sslers.factory"
	RenewalLabel = "peter_sslers.renewal_configuration"
	SetLabel     = "peter_sslers.unique_fqdn_set" // of certificates without a renewal configuration
	noteLabel    = "peter_sslers.note"
)

// here is what the manager has.
type here struct {
	authorities  []client.Authority
	accounts     []client.Account
	policies     []client.Policy
	factories    []client.Factory
	defaults     map[string]string             // purpose to policy
	blocked      map[string]bool               // names
	certificates map[string]client.Certificate // by where they came from
	labels       map[string]bool               // of all certificates
	keptBy       map[string]string             // name to the label of a certificate that came from elsewhere
	proved       map[string]string             // name to the challenge type that was said for it
	solvers      []client.ACMEDNSServer        // of type acmedns
	delegated    map[string]map[string]bool    // solver to names that have an account there
}

func look(ctx context.Context, c *client.Client) (h *here, err error) {
	h = &here{defaults: map[string]string{}, blocked: map[string]bool{}, certificates: map[string]client.Certificate{}, labels: map[string]bool{}, keptBy: map[string]string{}, proved: map[string]string{}, delegated: map[string]map[string]bool{}}
	if h.authorities, err = c.Authorities(ctx); err != nil {
		return nil, err
	}
	if h.accounts, err = c.Accounts(ctx); err != nil {
		return nil, err
	}
	if h.policies, err = c.Policies(ctx); err != nil {
		return nil, err
	}
	if h.factories, err = c.Factories(ctx); err != nil {
		return nil, err
	}
	if err := h.lookAtSettings(ctx, c); err != nil {
		return nil, err
	}
	if err := h.lookAtDelegations(ctx, c); err != nil {
		return nil, err
	}
	return h, h.lookAtCertificates(ctx, c)
}

func (h *here) lookAtSettings(ctx context.Context, c *client.Client) error {
	d, err := c.Defaults(ctx)
	if err != nil {
		return err
	}
	for _, p := range d.Defaults {
		h.defaults[p.Purpose] = p.Policy
	}
	list, err := c.Blocklist(ctx)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.Kind == "name" {
			h.blocked[b.Pattern] = true
		}
	}
	return nil
}

func (h *here) lookAtCertificates(ctx context.Context, c *client.Client) error {
	for x, err := range c.Certificates(ctx, client.CertificateQuery{State: "all", Paging: client.Paging{Limit: pageSize}}) {
		if err != nil {
			return err
		}
		h.labels[x.Label] = true
		if from := origin(x.Labels); from != "" {
			h.certificates[from] = x
			continue
		}
		if x.State == "removed" {
			continue
		}
		for _, n := range x.Names {
			h.keptBy[n] = x.Label
		}
	}
	for d, err := range c.Domains(ctx, client.DomainQuery{Paging: client.Paging{Limit: pageSize}}) {
		if err != nil {
			return err
		}
		if d.Challenge != "" {
			h.proved[d.Name] = d.Challenge
		}
	}
	return nil
}

// pageSize is how many rows one request asks for.
const pageSize = 1000

// origin is where a certificate came from, empty for elsewhere.
func origin(labels map[string]string) string {
	for _, key := range []string{RenewalLabel, SetLabel} {
		if v := labels[key]; v != "" {
			return key + "=" + v
		}
	}
	return ""
}

// authorityAt is the label of the authority with a directory, empty for none.
func (h *here) authorityAt(directory string) string {
	for _, a := range h.authorities {
		if sameURL(a.DirectoryURL, directory) {
			return a.Label
		}
	}
	return ""
}

func sameURL(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(a), "/"), strings.TrimRight(strings.TrimSpace(b), "/"))
}
