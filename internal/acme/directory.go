package acme

import (
	"context"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// maxDirectoryAge is how long a directory is used before it is fetched again.
const maxDirectoryAge = 12 * time.Hour

// Directory says where a CA's resources are (RFC 8555 section 7.1.1).
type Directory struct {
	NewNonce    string `json:"newNonce"`
	NewAccount  string `json:"newAccount"`
	NewOrder    string `json:"newOrder"`
	RevokeCert  string `json:"revokeCert"`
	KeyChange   string `json:"keyChange"`
	RenewalInfo string `json:"renewalInfo"` // RFC 9773 section 3; empty if not offered
	Meta        Meta   `json:"meta"`
}

// Meta is what a CA says of itself.
type Meta struct {
	TermsOfService          string            `json:"termsOfService"`
	Website                 string            `json:"website"`
	CAAIdentities           []string          `json:"caaIdentities"`
	ExternalAccountRequired bool              `json:"externalAccountRequired"`
	Profiles                map[string]string `json:"profiles"` // name to description
}

type directories struct {
	turn chan struct{} // holds one token while somebody fetches
	mu   sync.Mutex
	last Directory // under mu
	at   time.Time // under mu; zero when there is none
}

func (d *directories) load(now time.Time) (Directory, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, !d.at.IsZero() && now.Sub(d.at) < maxDirectoryAge
}

// known is the last directory, however old.
func (d *directories) known() Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

func (d *directories) store(dir Directory, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.at = dir, at
}

// Directory is the CA's directory, at most twelve hours old.
func (c *Client) Directory(ctx context.Context) (Directory, error) {
	if dir, ok := c.dir.load(time.Now()); ok {
		return dir, nil
	}
	select {
	case c.dir.turn <- struct{}{}:
		defer func() { <-c.dir.turn }()
	case <-ctx.Done():
		return Directory{}, ctx.Err()
	}
	if dir, ok := c.dir.load(time.Now()); ok { // somebody else fetched it meanwhile
		return dir, nil
	}
	return c.Refresh(ctx)
}

// Refresh fetches the directory now, for a changed list of profiles or a CA
// that moved its resources.
func (c *Client) Refresh(ctx context.Context) (Directory, error) {
	const doing = "read the CA's directory"
	var dir Directory
	a, err := c.get(ctx, "directory", doing, c.url, &dir)
	if err != nil {
		return Directory{}, err
	}
	if dir.NewNonce == "" || dir.NewAccount == "" || dir.NewOrder == "" {
		return Directory{}, &certfleet.Error{
			Kind:   certfleet.Invalid,
			Msg:    doing + ": " + plainURL(c.url) + " is not an ACME directory",
			Advice: "write the CA's directory URL, such as https://acme-v02.api.letsencrypt.org/directory",
		}
	}
	c.dir.store(dir, a.at)
	return dir, nil
}
