package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/store"
)

// Finding is what came of one check: ok, warn or fail.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// The states of a Finding.
const (
	CheckOK   = "ok"
	CheckWarn = "warn"
	CheckFail = "fail"
)

// checking collects findings.
type checking struct {
	mu   sync.Mutex
	list []Finding // guarded by mu
}

func (k *checking) add(f Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, f)
}

// result adds ok with what was found, or the error as state.
func (k *checking) result(check, found string, err error, state string) {
	if err == nil {
		k.add(Finding{check, CheckOK, found, ""})
		return
	}
	k.add(Finding{check, state, err.Error(), certfleet.AdviceOf(err)})
}

// Check looks at everything that a node stands on, changes nothing but the
// schema of its database, and says what would not work.
func Check(ctx context.Context, path string) []Finding {
	k := &checking{}
	c, err := config.Load(path)
	if err != nil {
		for _, p := range config.Problems(err) {
			k.result("configuration", "", p, CheckFail)
		}
		return k.list
	}
	k.result("configuration", orString(c.Path, "from the environment"), nil, "")
	for _, w := range c.Warnings {
		k.add(Finding{"configuration", CheckWarn, w, ""})
	}
	k.folder(c)
	k.privateCA(c)
	k.ports(ctx, c)
	k.resolvers(ctx, c)
	k.node(ctx, c)
	return k.list
}

func orString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (k *checking) folder(c *config.Config) {
	info, err := os.Stat(c.StateDir)
	switch {
	case err != nil:
		k.result("state folder", "", &certfleet.Error{Msg: c.StateDir + " is not there", Advice: "run certfleet init", Err: nil}, CheckFail)
	case info.Mode().Perm()&0o022 != 0:
		k.add(Finding{"state folder", CheckFail, fmt.Sprintf("others may write to %s (mode %04o)", c.StateDir, info.Mode().Perm()), "run chmod 700 " + c.StateDir})
	default:
		k.result("state folder", c.StateDir, nil, "")
	}
}

func (k *checking) privateCA(c *config.Config) {
	if c.TLS.Plain || !c.Listen.API.On() {
		return
	}
	ca, err := LoadCA(c)
	if err != nil {
		k.result("private CA", "", err, CheckFail)
		return
	}
	left := time.Until(ca.Certificate.NotAfter)
	found := "until " + ca.Certificate.NotAfter.Format(time.DateOnly)
	if left < 180*24*time.Hour {
		k.add(Finding{"private CA", CheckWarn, found, "plan a new one: remove " + CACertFile + " and " + CAKeyFile + " from the state folder of every node, and run certfleet init on each"})
		return
	}
	k.result("private CA", found, openToOthers(StatePath(c, CAKeyFile)), CheckFail)
}

// openToOthers reports a key file that others may read.
func openToOthers(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("%s is open to others (mode %04o)", path, info.Mode().Perm()), Advice: "run chmod 600 " + path}
	}
	return err
}

// ports tries each listener; one that a running certfleet holds is fine.
func (k *checking) ports(ctx context.Context, c *config.Config) {
	for _, l := range []struct {
		name string
		addr config.Address
		ask  func(context.Context, string) bool
	}{
		{"api", c.Listen.API, func(ctx context.Context, addr string) bool {
			return answers(ctx, c, c.BaseURL(), addr, "/healthz", "")
		}},
		{"http01", c.Listen.HTTP01, func(ctx context.Context, addr string) bool {
			return answers(ctx, c, "http://", addr, certfleet.ChallengePath+"ping", "pong")
		}},
		{"tlsalpn01", c.Listen.TLSALPN01, func(context.Context, string) bool { return false }},
		{"edge", c.Listen.Edge, func(ctx context.Context, addr string) bool {
			scheme := "https://"
			if c.Edge.Plain || c.Listen.Edge.Loopback() {
				scheme = "http://"
			}
			return answers(ctx, c, scheme, addr, "/healthz", "")
		}},
		{"agents", c.Listen.Agents, func(ctx context.Context, addr string) bool {
			return answers(ctx, c, "https://", addr, "/healthz", "")
		}},
	} {
		if !l.addr.On() {
			continue
		}
		check := "listen." + l.name
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(l.addr))
		if err == nil {
			ln.Close()
			k.result(check, string(l.addr)+" is free", nil, "")
			continue
		}
		if l.ask(ctx, string(l.addr)) {
			k.result(check, string(l.addr)+" is held by a certfleet that runs", nil, "")
			continue
		}
		k.result(check, "", listenProblem(l.name, string(l.addr), err), CheckFail)
	}
}

// listenProblem tells a port that is taken from one that this user may not have.
func listenProblem(name, addr string, err error) error {
	e := &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("cannot listen on %s for %s", addr, name), Advice: fmt.Sprintf("end the program that holds the port, or change listen.%s", name), Err: err}
	if errors.Is(err, fs.ErrPermission) {
		e.Advice = fmt.Sprintf("let the service have it (AmbientCapabilities=CAP_NET_BIND_SERVICE), or listen on a higher port behind something that passes %s on", certfleet.ChallengePath)
	}
	return e
}

// answers asks whoever listens at addr whether it is one of us.
func answers(ctx context.Context, c *config.Config, base, addr, path, word string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme, _, _ := strings.Cut(base, "://")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return false
	}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: Roots(c), MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	res, err := h.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // an answer cut off is not ours
	return res.StatusCode == http.StatusOK && strings.Contains(string(body), word)
}

func (k *checking) resolvers(ctx context.Context, c *config.Config) {
	list := c.DNS.Resolvers
	if len(list) == 0 {
		list = []string{""}
	}
	for _, server := range list {
		r := &dnsq.Resolver{Timeout: 2 * time.Second}
		name := "of the system"
		if server != "" {
			r.Servers, name = []string{server}, server
		}
		ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
		_, servers, err := r.Authorities(ctx, "com.")
		cancel()
		if err == nil && len(servers) == 0 {
			err = errors.New("they know of no server for com")
		}
		if err != nil {
			err = &certfleet.Error{Msg: "resolver " + name + " does not answer", Advice: "set dns.resolvers, or see why names are not resolved on this host", Err: err}
		}
		k.result("DNS", "the resolver "+name+" answers", err, CheckWarn)
	}
}

// node builds everything that a node is made of, and looks at what it keeps.
func (k *checking) node(ctx context.Context, c *config.Config) {
	_, err := OpenKeeper(c)
	if foreign := foreignDatabase(ctx, c); certfleet.KindOf(foreign) == certfleet.NotFound {
		err = foreign // it says more
	}
	k.result("sealing key", string(c.KeyReference()), err, CheckFail)
	if err != nil {
		return
	}
	a, err := New(ctx, c, Options{})
	if err != nil {
		for _, p := range config.Problems(err) {
			k.result("database and plugins", "", p, CheckFail)
		}
		return
	}
	defer a.Close()
	k.result("database", config.Database(a.where()).String()+" answers, with the schema of this release", a.DB.Ping(ctx), CheckFail)
	k.result("sealed keys", "every data key opens", a.Keys.Check(ctx), CheckFail)
	k.result("shared CA", "the nodes of this database have one private CA", a.sameCA(ctx), CheckFail)
	k.result("solvers", fmt.Sprintf("%d configured, all can be built", len(c.Solvers)), nil, "")
	k.targets(ctx, a)
	k.policies(ctx, a)
	k.authorities(ctx, a)
	k.tokens(ctx, a)
}

func (k *checking) targets(ctx context.Context, a *App) {
	n := 0
	for after := (store.Cursor{}); ; {
		list, next, err := a.DB.Targets(ctx, certfleet.DefaultTenant, nil, after, 1000)
		if err != nil {
			k.result("targets", "", err, CheckFail)
			return
		}
		for _, t := range list {
			n++
			if _, err := a.target(&t); err != nil {
				k.result("target "+t.Label, "", err, CheckFail)
			}
			if err := a.canaryProblem(ctx, &t); err != nil {
				k.result("canary "+t.Label, "", err, CheckWarn)
			}
		}
		if after = next; next == (store.Cursor{}) {
			break
		}
	}
	k.result("targets", fmt.Sprintf("%d known", n), nil, "")
}

// policies looks whether each leads to an account and to a solver.
func (k *checking) policies(ctx context.Context, a *App) {
	list, err := a.DB.Policies(ctx, certfleet.DefaultTenant)
	if err != nil {
		k.result("policies", "", err, CheckFail)
		return
	}
	if len(list) == 0 {
		k.add(Finding{"policies", CheckWarn, "there is none", "run certfleet init, or certfleet policies set default --authority letsencrypt"})
	}
	for _, p := range list {
		check := "policy " + p.Label
		if err := a.policyWorks(ctx, &p); err != nil {
			k.result(check, "", err, CheckFail)
			continue
		}
		k.result(check, "from "+strings.Join(p.Spec.Authorities, ", "), nil, "")
	}
}

func (a *App) policyWorks(ctx context.Context, p *certfleet.Policy) error {
	if len(p.Spec.Authorities) == 0 {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "it names no authority", Advice: "run certfleet policies set " + p.Label + " --authority and a label"}
	}
	for _, label := range p.Spec.Authorities {
		ca, err := a.DB.AuthorityByLabel(ctx, p.Tenant, label)
		if err != nil {
			return err
		}
		if _, err := a.DB.AccountAt(ctx, p.Tenant, ca.ID); certfleet.KindOf(err) == certfleet.NotFound {
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: "there is no account at " + label, Advice: "make one with certfleet accounts new --authority " + label + " --agree"}
		} else if err != nil {
			return err
		}
	}
	if p.Spec.Challenge == certfleet.DNS01 || p.Spec.Solver != "" {
		_, err := a.solvers.find(certfleet.DNS01, p.Spec.Solver)
		return err
	}
	return nil
}

// authorities asks those that we have an account at, side by side.
func (k *checking) authorities(ctx context.Context, a *App) {
	accounts, err := a.DB.Accounts(ctx, certfleet.DefaultTenant)
	if err != nil {
		k.result("authorities", "", err, CheckFail)
		return
	}
	var wg sync.WaitGroup
	var seen []int64
	for _, acct := range accounts {
		if acct.State == certfleet.AccountDeactivated || slices.Contains(seen, acct.AuthorityID) {
			continue
		}
		seen = append(seen, acct.AuthorityID)
		wg.Go(func() { k.authority(ctx, a, acct.AuthorityID) })
	}
	wg.Wait()
}

func (k *checking) authority(ctx context.Context, a *App, id int64) {
	ca, err := a.DB.Authority(ctx, id)
	if err != nil {
		k.result("authorities", "", err, CheckFail)
		return
	}
	d, err := askDirectory(ctx, ca)
	if err != nil && certfleet.AdviceOf(err) == "" {
		err = &certfleet.Error{Kind: certfleet.Unreachable, Msg: ca.DirectoryURL + " cannot be reached", Advice: "let this host reach it, or correct the authority's directory or trust bundle", Err: err}
	}
	found := ca.DirectoryURL + " answers"
	if len(d.Meta.Profiles) > 0 {
		found += fmt.Sprintf(", %d profiles", len(d.Meta.Profiles))
	}
	k.result("authority "+ca.Label, found, err, CheckFail)
}

func (k *checking) tokens(ctx context.Context, a *App) {
	list, err := a.DB.Tokens(ctx, certfleet.DefaultTenant)
	if err != nil {
		k.result("tokens", "", err, CheckFail)
		return
	}
	for _, t := range list {
		if t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(time.Now())) && t.Allows(certfleet.ScopeAdmin) {
			k.result("tokens", "an admin token is in use", nil, "")
			return
		}
	}
	k.add(Finding{"tokens", CheckWarn, "nobody can manage this server over its API", "make one with certfleet tokens new admin --scope admin --offline"})
}
