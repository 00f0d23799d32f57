package demand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// plausible refuses what no customer has, before anybody is asked.
func plausible(n certfleet.Name, rules *Rules) error {
	most := rules.Labels
	if most <= 0 {
		most = 3
	}
	registered := n.RegisteredDomain()
	switch {
	case n.IsIP() || n.IsWildcard():
		return denied(n, "only host names are ordered on demand")
	case registered == "" || n.String() == "localhost":
		return denied(n, "it is under no registered domain")
	}
	before := strings.Count(n.String(), ".") - strings.Count(registered, ".")
	if before > most {
		return denied(n, fmt.Sprintf("it has %d labels before its registered domain, and %d are allowed", before, most))
	}
	if strings.HasPrefix(n.String(), "www.www.") {
		return denied(n, "www stands twice")
	}
	return nil
}

func denied(n certfleet.Name, why string) error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("%s is not ordered on demand: %s", n, why), Advice: "add it by certfleet add " + n.String() + ", or widen on_demand"}
}

// allowed asks the rules, from the cheapest to the dearest.
func (r *Room) allowed(ctx context.Context, tenant int64, n certfleet.Name, rules *Rules) error {
	for _, p := range rules.Patterns {
		if p.MatchString(n.String()) {
			return nil
		}
	}
	if rules.Inventory {
		_, err := r.DB.Domain(ctx, tenant, n)
		if err == nil {
			return nil
		}
		if certfleet.KindOf(err) != certfleet.NotFound {
			return err
		}
	}
	if rules.Ask == "" {
		return denied(n, "no rule allows it")
	}
	return r.ask(ctx, n, rules.Ask)
}

// ask has a URL decide. Anything but a clear answer is no answer, and nothing is
// ordered.
func (r *Room) ask(ctx context.Context, n certfleet.Name, at string) error {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	default:
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "too many questions to the ask URL are under way", Advice: "try again", Retry: time.Now().Add(time.Second)}
	}
	u, err := url.Parse(at)
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "on_demand.ask is no URL", Advice: "write https://HOST/PATH", Err: err}
	}
	q := u.Query()
	q.Set("domain", n.String())
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := r.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // it repeats the URL, in which a secret may stand
		}
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "the ask URL does not answer", Advice: "look whether " + u.Host + " is up", Err: err}
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode/100 == 4 && res.StatusCode != http.StatusTooManyRequests:
		return denied(n, fmt.Sprintf("the ask URL said %d", res.StatusCode))
	}
	return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("the ask URL said %d, which is neither yes nor no", res.StatusCode), Advice: "have it answer 200 or 404"}
}
