package issue

import (
	"context"
	"errors"
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
)

// CheckAccount asks the CA how a registered account stands (RFC 8555 section
// 7.3.1); it makes none and changes nothing.
func (r *Room) CheckAccount(ctx context.Context, id int64) (acme.AccountInfo, error) {
	ctx, said := withRecord(ctx)
	acct, client, err := r.account(ctx, id)
	if err != nil {
		return acme.AccountInfo{}, err
	}
	if acct.State != certfleet.AccountValid {
		return acme.AccountInfo{}, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("account %q is %s", acct.Label, acct.State), Advice: unchecked(acct)}
	}
	ctx, cancel := context.WithTimeout(acme.WithOrder(ctx, 0, acct.ID, acct.AuthorityID), callTime)
	defer cancel()
	as, err := r.identity(ctx, client, acct)
	if err != nil {
		return acme.AccountInfo{}, errors.Join(err, r.keep(ctx, said))
	}
	got, err := findAs(ctx, client, as)
	return got, errors.Join(explained(acct, err), r.keep(ctx, said))
}

func unchecked(a *certfleet.Account) string {
	if a.State == certfleet.AccountWanted {
		return "register the account first: certfleet accounts register " + a.Label
	}
	return "make another account at this authority: certfleet accounts new"
}
