package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// check looks at what single words cannot show.
func (r *reading) check() {
	c := r.cfg
	r.checkURL()
	r.checkContact()
	r.checkResolvers()
	r.checkTLS()
	r.checkEdge()
	r.checkOnDemand()
	r.checkCertbot()
	r.oneOf("log.format", c.Log.Format, "text", "json")
	r.oneOf("preflight.mode", c.Preflight.Mode, PreflightAuto, PreflightOn, PreflightWarn, PreflightOff)
	r.checkAliases()
	r.between("work.workers", int64(c.Work.Workers), 1, 1000)
	r.between("limits.body", int64(c.Limits.Body), 1<<10, 1<<30)
	r.lasts("probe.timeout", c.Probe.Timeout, time.Second, 5*time.Minute)
	r.between("probe.per_hour", int64(c.Probe.PerHour), 1, 1_000_000_000)
	r.lasts("shutdown.grace", c.Shutdown.Grace, time.Second, time.Hour)
	r.lasts("retention.exchanges", c.Retention.Exchanges, time.Hour, 0)
	r.lasts("retention.lookups", c.Retention.Lookups, time.Hour, 0)
	r.lasts("retention.events", c.Retention.Events, 24*time.Hour, 0)
	if c.Database.password() && r.fromEnv["database"] == "" {
		c.Warnings = append(c.Warnings, "a password stands in the configuration file: put the database URL into a file or the environment, and write database: file:PATH or env:NAME")
	}
}

func (r *reading) checkURL() {
	c := r.cfg
	if c.PublicURL == "" {
		return
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.problem("public_url", invalid("write https://HOST or https://HOST:PORT", "public_url: this is not the URL of a server"))
		return
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
}

func (r *reading) checkContact() {
	for i, s := range r.cfg.Contact {
		a, err := mail.ParseAddress(strings.TrimPrefix(s, "mailto:"))
		if err != nil || a.Name != "" {
			r.problem("contact", invalid("write an email address such as tls@example.com", "contact: %q is not an email address", s))
			continue
		}
		r.cfg.Contact[i] = a.Address
	}
}

func (r *reading) checkResolvers() {
	for i, s := range r.cfg.DNS.Resolvers {
		if _, err := netip.ParseAddr(s); err == nil {
			r.cfg.DNS.Resolvers[i] = net.JoinHostPort(s, "53")
			continue
		}
		host, port, err := net.SplitHostPort(s)
		if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || host == "" {
			r.problem("dns.resolvers", invalid("write an address such as 192.0.2.53, or host:port", "dns.resolvers: %q is not a resolver", s))
		}
	}
}

// checkAliases reads the names that CNAMEs lead through as any other name.
func (r *reading) checkAliases() {
	for i, s := range r.cfg.Preflight.Names {
		n, err := certfleet.ParseName(s)
		if err != nil || n.IsIP() || n.IsWildcard() {
			r.problem("preflight.names", invalid("write host names such as edge.example.com", "preflight.names: %q is not the target of a CNAME", s))
			continue
		}
		r.cfg.Preflight.Names[i] = n.String()
	}
}

// A token that crosses a network in the clear is everybody's token.
func (r *reading) checkTLS() {
	c := r.cfg
	if c.TLS.Plain && c.TLS.Certificate != "" {
		r.problem("tls.plain", invalid("choose one of the two", "tls.plain and tls.certificate exclude each other"))
	}
	if c.TLS.Plain && c.Listen.API.On() && !c.Listen.API.Loopback() && !c.Insecure {
		r.problem("tls.plain", invalid("take out tls.plain, listen on 127.0.0.1, or set insecure: true if something in front speaks TLS",
			"the API would listen without TLS on %s, where others can reach it", c.Listen.API))
	}
}

// A private key that crosses a network in the clear is everybody's key.
func (r *reading) checkEdge() {
	c := r.cfg
	for _, p := range c.Edge.Prefixes {
		if p != string(Off) && (!strings.HasPrefix(p, "/") || strings.ContainsAny(p, "{}? ")) {
			r.problem("edge.prefixes", invalid("write a path such as /.well-known/peter_sslers, / or off", "edge.prefixes: %q is not a path", p))
		}
	}
	if c.Edge.Plain && c.Listen.Edge.On() && !c.Listen.Edge.Loopback() && !c.Insecure {
		r.problem("edge.plain", invalid("take out edge.plain, listen on 127.0.0.1, or set insecure: true if something in front speaks TLS",
			"edges would be sent private keys without TLS from %s, where others can listen", c.Listen.Edge))
	}
}

func (r *reading) checkOnDemand() {
	d := &r.cfg.OnDemand
	for _, p := range d.Patterns {
		if _, err := regexp.Compile(p); err != nil {
			r.problem("on_demand.patterns", invalid("write a regular expression such as [a-z0-9-]+\\.shops\\.example\\.com", "on_demand.patterns: %q is not a regular expression: %v", p, err))
		}
	}
	if d.Ask != "" {
		if u, err := url.Parse(d.Ask); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			r.problem("on_demand.ask", invalid("write https://HOST/PATH", "on_demand.ask: this is not a URL that can be asked"))
		}
	}
	r.between("on_demand.labels", int64(d.Labels), 1, 20)
	r.between("on_demand.per_domain", int64(d.PerDomain), 1, 1_000_000)
	r.between("on_demand.per_tenant", int64(d.PerTenant), 1, 1_000_000)
	r.lasts("on_demand.wait", d.Wait, time.Second, time.Minute)
	r.lasts("on_demand.deny_for", d.DenyFor, time.Second, 24*time.Hour)
}

func (r *reading) checkCertbot() {
	for _, dir := range r.cfg.Certbot.Watch {
		if !filepath.IsAbs(dir) {
			r.problem("certbot.watch", invalid("write a path from the root, such as /etc/letsencrypt", "certbot.watch: %q is no folder that is found from everywhere", dir))
		}
	}
	r.lasts("certbot.every", r.cfg.Certbot.Every, 100*time.Millisecond, 24*time.Hour)
}

func (r *reading) oneOf(path, got string, words ...string) {
	if !slices.Contains(words, got) {
		r.problem(path, invalid("use one of "+strings.Join(words, ", "), "%s: %q is not known", path, got))
	}
}

func (r *reading) between(path string, got, low, high int64) {
	if got < low || got > high {
		r.problem(path, invalid(fmt.Sprintf("write a number from %d to %d", low, high), "%s: %d is out of range", path, got))
	}
}

// lasts checks a duration; high zero means no upper bound.
func (r *reading) lasts(path string, got certfleet.Duration, low, high time.Duration) {
	d := time.Duration(got)
	if d < low {
		r.problem(path, invalid(fmt.Sprintf("write %v or more", low), "%s: %v is too short", path, d))
	}
	if high > 0 && d > high {
		r.problem(path, invalid(fmt.Sprintf("write %v or less", high), "%s: %v is too long", path, d))
	}
}
