package compat

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// askCA bounds how long a question about an account may take.
const askCA = 30 * time.Second

// confirm asks the CA how an account stands. One that is not registered yet is
// registered first. The flag is true only when the CA has said so just now.
func confirm(flag string) func(*call) {
	return func(c *call) {
		a, err := c.readAccount(c.id())
		if err != nil {
			c.fail(err)
			return
		}
		check, err := c.confirmed(a)
		if now, bad := c.readAccount(c.id()); bad == nil {
			a = now
		}
		out := object{"result": "success", flag: err == nil && check.Agrees, "AcmeAccount": c.accountOf(a)}
		switch {
		case err != nil && certfleet.KindOf(err) == certfleet.Internal:
			c.fail(err)
			return
		case err != nil:
			msg, advice := said(err)
			out["result"], out["error"], out["advice"] = "error", msg, advice
		case !check.Agrees:
			out["result"], out["error"] = "error", "the CA says that the account is "+check.CAStatus+", at "+check.CAURL
		}
		c.json(http.StatusOK, out)
	}
}

func (c *call) confirmed(a api.Account) (api.AccountCheck, error) {
	ctx, cancel := context.WithTimeout(c.ctx, askCA)
	defer cancel()
	d := *c
	d.ctx = ctx
	path := "/accounts/" + url.PathEscape(c.id())
	if a.State == string(certfleet.AccountWanted) {
		if _, err := ask[api.Account](&d, "POST", path+"/register", nil); err != nil {
			return api.AccountCheck{}, err
		}
	}
	return ask[api.AccountCheck](&d, "POST", path+"/check", nil)
}
