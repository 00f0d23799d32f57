package compat

import (
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// DelegationOf is what is shown of an account at an acme-dns server.
func DelegationOf(a *store.ACMEDNS) api.Delegation {
	return api.Delegation{Name: a.Name.String(), Record: certfleet.Challenge{Name: a.Name}.DNSName(), Target: a.FullDomain + ".", CreatedAt: a.CreatedAt}
}

// dnsAccountsAt are the accounts at some of the servers that are meant by an id, of
// which there is one, or by a domain.
func (c *call) dnsAccountsAt(servers []api.ACMEDNSServer, said string) (found []dnsAccount, err error) {
	if number, err := strconv.ParseInt(said, 10, 64); err == nil {
		row, err := c.dnsAccountNumbered(number)
		return whereAt(servers, row), absent(err)
	}
	name, err := certfleet.ParseName(said)
	if err != nil {
		return nil, nil // nothing is called so
	}
	for _, s := range servers {
		row, err := c.h.DB.ACMEDNS(c.ctx, c.tenant(), s.Solver, name)
		if absent(err) != nil {
			return nil, err
		}
		found = append(found, whereAt(servers, row)...)
	}
	return found, nil
}

// whereAt is an account with its server, if that is one of some.
func whereAt(servers []api.ACMEDNSServer, row *store.ACMEDNS) []dnsAccount {
	for _, s := range servers {
		if row != nil && s.Solver == row.Solver {
			return []dnsAccount{{s, DelegationOf(row)}}
		}
	}
	return nil
}

// absent lets a lookup find nothing.
func absent(err error) error {
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil
	}
	return err
}

// dnsAccountNumbered finds the account with a number. Those that an older release
// stored get theirs first, when it may be one of them.
func (c *call) dnsAccountNumbered(number int64) (*store.ACMEDNS, error) {
	row, err := c.h.DB.ACMEDNSByNumber(c.ctx, c.tenant(), number)
	if certfleet.KindOf(err) != certfleet.NotFound {
		return row, err
	}
	if err := c.numberDNSAccounts(); err != nil {
		return nil, err
	}
	return c.h.DB.ACMEDNSByNumber(c.ctx, c.tenant(), number)
}

// numberedAtOnce is how many accounts get their numbers in one transaction.
const numberedAtOnce = 1000

func (c *call) numberDNSAccounts() error {
	for {
		rows, err := c.h.DB.UnnumberedACMEDNS(c.ctx, c.tenant(), numberedAtOnce)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := c.h.DB.Tx(c.ctx, time.Now(), func(tx *store.Tx) error { return tx.NumberACMEDNS(c.ctx, rows) }); err != nil {
			return err
		}
		if len(rows) < numberedAtOnce {
			return nil
		}
	}
}
