package intake

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// CheckContact makes contact URLs of addresses; CAs take mailto alone.
func CheckContact(in []string) ([]string, error) {
	out := []string{}
	for _, s := range in {
		s = strings.TrimPrefix(strings.TrimSpace(s), "mailto:")
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || strings.ContainsAny(s, "?,") {
			return nil, invalid("give an address such as tls@example.com", fmt.Sprintf("contact %q is no mail address", s[:min(len(s), 80)]))
		}
		out = append(out, "mailto:"+s)
	}
	return out, nil
}

// ParseHMAC reads the key of an external account binding as CAs hand it out:
// base64url or plain base64, with or without padding. It never repeats it.
func ParseHMAC(s string) (certfleet.Secret, error) {
	s = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_", " ", "", "\n", "").Replace(s), "=")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 16 {
		return nil, invalid("copy the HMAC key again, whole, as the CA shows it", "the HMAC key of the external account binding cannot be read")
	}
	return b, nil
}

// AccountRow checks an account that is wanted at an authority, and answers its
// row without any secret in it.
func (r Room) AccountRow(ctx context.Context, q store.Q, n api.NewAccount) (*certfleet.Account, error) {
	return r.accountRow(ctx, q, n, false)
}

// accountRow is AccountRow; an account that is there keeps its binding.
func (r Room) accountRow(ctx context.Context, q store.Q, n api.NewAccount, there bool) (*certfleet.Account, error) {
	ca, err := q.AuthorityByLabel(ctx, r.tenant(), n.Authority)
	if err != nil {
		return nil, orMissing(err, "authority", n.Authority)
	}
	a := &certfleet.Account{Tenant: r.tenant(), AuthorityID: ca.ID, Label: cmp.Or(n.Label, n.Authority), Labels: n.Labels, EABKeyID: n.EABKeyID, State: certfleet.AccountWanted}
	if err := checkObject(a.Label, a.Labels); err != nil {
		return nil, err
	}
	if a.Contact, err = CheckContact(n.Contact); err != nil {
		return nil, err
	}
	switch {
	case (n.EABKeyID == "") != (n.EABHMACKey == ""):
		return nil, invalid("give both the key id and the HMAC key", "an external account binding has two parts")
	case !there && ca.EAB && n.EABKeyID == "" && n.Key == "":
		return nil, invalid("get a key id and HMAC key from the CA and give both", fmt.Sprintf("authority %q requires external account binding", ca.Label))
	}
	return a, checkAccountURL(n.URL)
}

func checkAccountURL(s string) error {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return invalid("give the account's URL at the CA, beginning with https://", "the account URL cannot be used")
	}
	return nil
}

// Seal seals the HMAC key into the row; it must run outside of a transaction.
func (r Room) Seal(ctx context.Context, a *certfleet.Account, hmac string) error {
	if hmac == "" {
		return nil
	}
	if r.SealEAB == nil {
		return unable("an external account binding")
	}
	key, err := ParseHMAC(hmac)
	if err != nil {
		return err
	}
	defer key.Wipe()
	a.EABSealed, err = r.SealEAB(ctx, a, key)
	return err
}

// AddAccount stores an account that is to be registered. Asked again for the
// same, it answers the one that is there; as long as the CA does not know it,
// what is asked last counts.
func (r Room) AddAccount(ctx context.Context, n api.NewAccount) (acct *certfleet.Account, fresh bool, err error) {
	row, err := r.AccountRow(ctx, r.DB.Q, n)
	if err != nil {
		return nil, false, err
	}
	if err := r.Seal(ctx, row, n.EABHMACKey); err != nil {
		return nil, false, err
	}
	err = r.write(ctx, func(tx *store.Tx) error {
		is, err := tx.AccountByLabel(ctx, row.Tenant, row.Label)
		if gone(err) {
			acct, fresh = row, true
			if n.Agree {
				row.AgreedAt = tx.Now()
			}
			return tx.AddAccount(ctx, row)
		}
		if err != nil {
			return err
		}
		acct, fresh = is, false
		if is.State == certfleet.AccountWanted && is.AuthorityID == row.AuthorityID {
			return askAnew(ctx, tx, is, row, n.Agree)
		}
		if is.AuthorityID != row.AuthorityID || !slices.Equal(is.Contact, row.Contact) || is.EABKeyID != row.EABKeyID || wordsOf(is.Labels) != wordsOf(row.Labels) {
			return conflict("change the account, or choose another label", fmt.Sprintf("account %q exists, with other content", row.Label))
		}
		return nil
	})
	return acct, fresh, err
}

// askAnew takes over what is asked of an account that the CA does not know yet.
func askAnew(ctx context.Context, tx *store.Tx, is, row *certfleet.Account, agree bool) error {
	is.Contact, is.Labels = row.Contact, row.Labels
	if row.EABKeyID != "" {
		is.EABKeyID, is.EABSealed = row.EABKeyID, row.EABSealed
	}
	if agree {
		is.AgreedAt = tx.Now()
	}
	is.Problem = ""
	return tx.SaveAccount(ctx, is)
}

// Agree notes that the CA's terms are agreed to.
func (r Room) Agree(ctx context.Context, id int64) (a *certfleet.Account, err error) {
	err = r.write(ctx, func(tx *store.Tx) error {
		if a, err = tx.Account(ctx, id); err != nil {
			return err
		}
		a.AgreedAt, a.Problem = tx.Now(), ""
		return r.noted(ctx, tx, "account.agreed", "account "+a.Label, tx.SaveAccount(ctx, a))
	})
	return a, err
}
