package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter"
	"github.com/certfleet/certfleet/internal/store"
)

const (
	// certbotPatience is for how many looks a pair may not fit before people are told:
	// certbot moves its four links one after the other.
	certbotPatience = 3
	takeTime        = time.Minute // for one lineage
)

// follower takes over what certbot renews in the folders that the configuration
// names.
type follower struct {
	*App
	conf    config.Certbot
	watches []*porter.Watch
	through *http.Client
	said    map[string]string // the last trouble of each lineage and folder
	unfit   map[string]int    // for how many looks a pair did not fit
}

func (a *App) newFollower() *follower {
	f := &follower{App: a, conf: a.Config.Certbot, said: map[string]string{}, unfit: map[string]int{}}
	if len(f.conf.Watch) > 0 {
		f.through = &http.Client{Transport: a.Offline("certbot"), Timeout: takeTime}
	}
	for _, dir := range f.conf.Watch {
		f.watches = append(f.watches, &porter.Watch{Dir: dir})
	}
	return f
}

// run looks at every folder again and again until ctx ends.
func (f *follower) run(ctx context.Context) error {
	if len(f.watches) == 0 {
		return nil
	}
	every := time.NewTicker(time.Duration(f.conf.Every))
	defer every.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// look takes over what changed. Trouble with one lineage stops no other.
func (f *follower) look(ctx context.Context) {
	for _, w := range f.watches {
		changes, err := w.Look()
		f.tell(ctx, w.Dir, err)
		for _, c := range changes {
			if ctx.Err() != nil {
				return
			}
			where := w.Dir + " " + c.Name
			if c.Err != nil {
				f.waits(ctx, where, c.Err)
				continue
			}
			delete(f.unfit, where)
			err := f.take(ctx, c.Lineage)
			if ctx.Err() != nil {
				return
			}
			f.tell(ctx, where, err)
			if err == nil || certfleet.KindOf(err) == certfleet.Invalid || certfleet.KindOf(err) == certfleet.Conflict {
				w.Take(c) // the same files would only be refused again
			}
		}
	}
}

// waits lets certbot end what it is writing.
func (f *follower) waits(ctx context.Context, where string, cause error) {
	if f.unfit[where]++; f.unfit[where] >= certbotPatience {
		f.tell(ctx, where, &certfleet.Error{Kind: certfleet.Invalid, Msg: "its certificate and key do not fit together: " + cause.Error(), Advice: "let certfleet's user read both files; if they were changed by hand, run certbot renew --force-renewal for it"})
	}
}

// tell logs a trouble and makes an event of it, once until it is another.
func (f *follower) tell(ctx context.Context, where string, err error) {
	if err == nil {
		delete(f.said, where)
		return
	}
	if f.said[where] == err.Error() {
		return
	}
	f.said[where] = err.Error()
	f.Log.Warn("certbot's certificate is not taken over", "from", where, "err", err, "advice", certfleet.AdviceOf(err))
	e := certfleet.Event{Kind: "certbot.refused", Tenant: certfleet.DefaultTenant, Msg: fmt.Sprintf("%s is not taken over: %v", where, err)}
	if err := f.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.Event(ctx, e) }); err != nil && ctx.Err() == nil {
		f.Log.Warn("cannot note what is not taken over", "err", err)
	}
}

// take imports a lineage, unless it is here, is renewed here, or was removed here.
func (f *follower) take(ctx context.Context, l porter.Lineage) error {
	defer l.KeyPEM.Wipe()
	known, c, err := f.here(ctx, l)
	if err != nil {
		return err
	}
	i := api.Import{Label: l.Name, ChainPEM: string(l.ChainPEM), KeyPEM: string(l.KeyPEM), External: certfleet.ExternalCertbot, Policy: f.conf.Policy, Targets: f.conf.Targets}
	switch {
	case c == nil:
	case c.State == certfleet.Removed, known && (c.External != "" || c.State != certfleet.Paused):
		return nil
	case c.State != certfleet.Paused:
		return &certfleet.Error{Kind: certfleet.Conflict, Msg: "certbot renewed it too, and it is renewed here", Advice: "end certbot's timer for it, or run certfleet pause " + c.Label + " to leave it to certbot"}
	default:
		i.Label, i.Policy, i.Labels = c.Label, c.Policy, c.Labels
		if len(c.Targets) > 0 {
			i.Targets = c.Targets
		}
	}
	return f.give(ctx, i)
}

// here finds the certificate that a lineage is for, nil for none, and whether this
// very version is here.
func (f *follower) here(ctx context.Context, l porter.Lineage) (known bool, c *certfleet.Certificate, err error) {
	chain, err := pki.ParseChain(l.ChainPEM)
	if err != nil {
		return false, nil, err
	}
	v, err := f.DB.VersionByFingerprint(ctx, certfleet.DefaultTenant, pki.Fingerprint(chain[0]))
	if err == nil && v.CertificateID != 0 {
		c, err = f.DB.Certificate(ctx, v.CertificateID)
		return true, c, err
	}
	if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
		return false, nil, err
	}
	c, err = f.DB.CertificateByLabel(ctx, certfleet.DefaultTenant, l.Name)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return false, nil, nil
	}
	return false, c, err
}

// give imports by way of the API in this process, which checks it as anybody's.
func (f *follower) give(ctx context.Context, i api.Import) error {
	body, err := json.Marshal(i)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://offline/v1/import", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := f.through.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		f.Log.Info("certbot's certificate is taken over", "certificate", i.Label)
		return nil
	}
	var p api.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		return fmt.Errorf("import %s: status %d", i.Label, res.StatusCode)
	}
	kind := certfleet.Internal
	for _, k := range []certfleet.Kind{certfleet.Invalid, certfleet.NotFound, certfleet.Conflict, certfleet.Denied, certfleet.Limited, certfleet.Unreachable} {
		if k.String() == p.Kind {
			kind = k
		}
	}
	return &certfleet.Error{Kind: kind, Msg: cmp.Or(p.Detail, p.Title), Advice: p.Advice}
}
