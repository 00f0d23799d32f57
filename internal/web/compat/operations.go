package compat

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) operationRoutes() []route {
	issue, deliver := certfleet.ScopeIssue, certfleet.ScopeDeliver
	var all []route
	for _, some := range [][]route{
		get("/api/version", (*call).release),
		post("/api/redis/prime", deliver, (*call).primeAll, "Writes every target of type redis whole, and waits for it."),
		post("/api/nginx/cache-flush", deliver, edges("flush"), "Has every target of type redis written again; its edges are told then."),
		post("/api/nginx/status", deliver, edges("status"), "Says which servers are told."),
		post("/api/update-recents", issue, (*call).nothingToDo, "Nothing is to be done: what a name serves is settled when its certificate is."),
		post("/api/reconcile-cas", issue, (*call).nothingToDo, "Nothing is to be done: chains are kept as CAs send them."),
		post("/api/deactivate-expired", issue, (*call).nothingToDo, "Nothing is to be done: what has expired counts as nothing."),
		list("/enrollment-factorys", (*call).factories), get("/enrollment-factory/{id}", (*call).factory),
		post("/enrollment-factory/{id}/onboard", issue, (*call).onboard, "Makes the certificate of a domain.", "domain_name: required", "note: kept with the event"),
		post("/enrollment-factory/{id}/query", certfleet.ScopeRead, (*call).queryFactory, "Says what there is for a domain.", "domain_name: required"),
	} {
		all = append(all, some...)
	}
	return all
}

func (c *call) release() {
	r, err := ask[api.Release](c, "GET", "/version", nil)
	c.show(object{"version": r.Release, "config_uri-path": nil, "config_uri-contents": nil, "mac_uuid": nil}, err)
}

// lastEvent is the newest event, which stands for the one that the older system
// made of a routine.
func (c *call) lastEvent() object {
	p, err := ask[api.Page[api.Event]](c, "GET", "/events?limit=1", nil)
	if err != nil || len(p.Items) == 0 {
		return object{"id": 0}
	}
	return object{"id": p.Items[0].ID}
}

func (c *call) nothingToDo() {
	e := c.lastEvent()
	c.success(object{"operations_event": e, "operations_event_id": e["id"], "X509Certificate": object{}})
}

// redis are the targets that edges read from.
func (c *call) redis() (found []api.Target, err error) {
	p, err := ask[api.Page[api.Target]](c, "GET", "/targets", nil)
	for _, t := range p.Items {
		if t.Type == "redis" {
			found = append(found, t)
		}
	}
	return found, err
}

func (c *call) primeAll() {
	targets, err := c.redis()
	if err != nil {
		c.fail(err)
		return
	}
	if len(targets) == 0 {
		c.json(http.StatusOK, object{"result": "error", "error": "redis is not enabled"})
		return
	}
	written, total := 0, 0
	for _, t := range targets {
		run, err := c.primed(t)
		if err != nil {
			c.fail(err)
			return
		}
		if run.State != "done" {
			c.json(http.StatusOK, object{"result": "error", "error": fmt.Sprintf("target %s: %s %s", t.Label, run.State, run.Problem)})
			return
		}
		written, total = written+run.Names, total+run.Certificates
	}
	event := c.lastEvent()
	event["total_primed"] = object{"certcachain": total, "cert": total, "pkey": total, "domain": written}
	c.success(object{"operations_event": event})
}

// primed starts a full write and waits until it has ended.
func (c *call) primed(t api.Target) (api.TargetRun, error) {
	path, end := "/targets/"+strconv.FormatInt(t.ID, 10)+"/prime", time.Now().Add(patience)
	run, err := ask[api.TargetRun](c, "POST", path, nil)
	for err == nil && run.State == "running" && time.Now().Before(end) {
		select {
		case <-c.ctx.Done():
			return run, c.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		run, err = ask[api.TargetRun](c, "GET", path, nil)
	}
	return run, err
}

// edges answers for the nginx servers behind the targets of type redis: they are
// told by the targets themselves, whenever something is written.
func edges(what string) func(*call) {
	return func(c *call) {
		targets, err := c.redis()
		if err != nil {
			c.fail(err)
			return
		}
		if len(targets) == 0 {
			c.json(http.StatusOK, object{"result": "error", "error": "nginx is not enabled"})
			return
		}
		good, bad, servers := []string{}, []string{}, object{}
		for _, t := range targets {
			servers[t.Label], err = c.edgesOf(t, what)
			if err != nil {
				msg, _ := said(err)
				bad, servers[t.Label] = append(bad, t.Label), object{"status": "error", "error": "Exception", "Exception": msg}
				continue
			}
			good = append(good, t.Label)
		}
		out := object{"servers_status": object{"success": good, "errors": bad, "servers": servers}}
		if what == "flush" {
			out["operations_event"] = c.lastEvent()
		}
		c.success(out)
	}
}

func (c *call) edgesOf(t api.Target, what string) (object, error) {
	if what == "status" {
		return object{"result": "success", "note": "told by target " + t.Label}, nil
	}
	run, err := c.primed(t)
	if err == nil && run.State != "done" {
		err = &certfleet.Error{Kind: certfleet.Unreachable, Msg: run.State + " " + run.Problem, Advice: run.Advice}
	}
	return object{"result": "success", "expired": "all"}, err
}

func factoryOf(f api.Factory) (int64, object) {
	return f.ID, object{"id": f.ID, "name": f.Label, "note": text(f.Note), "label_template": f.LabelTemplate, "acme_challenge_duplicate_strategy": f.Duplicates,
		"domain_template_http01": f.HTTP01, "domain_template_dns01": f.DNS01, "policy": f.Policy}
}

func (c *call) factories() {
	rows, at, err := sliced[api.Factory](c, "/factories")
	c.show(object{"EnrollmentFactorys": row(rows, factoryOf), "pagination": at}, err)
}

func (c *call) factory() {
	f, err := ask[api.Factory](c, "GET", "/factories/"+url.PathEscape(c.id()), nil)
	_, o := factoryOf(f)
	c.show(object{"EnrollmentFactory": o}, err)
}

func (c *call) onboard() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	name, msg := oneName(form)
	if msg != "" {
		c.formError("domain_name", msg)
		return
	}
	got, err := ask[api.Onboarded](c, "POST", "/factories/"+url.PathEscape(c.id())+"/onboard", api.Onboarding{Domains: []string{name.String()}, Note: form.Get("note")})
	if err != nil {
		c.fail(err)
		return
	}
	e := got.Domains[0]
	if e.Problem != "" {
		c.formError("domain_name", e.Problem)
		return
	}
	_, o := renewalOf(*e.Certificate)
	c.success(object{"RenewalConfiguration": o, "is_duplicate_renewal": !e.Created})
}

func (c *call) queryFactory() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	name, msg := oneName(form)
	if msg != "" {
		c.formError("domain_name", msg)
		return
	}
	e, err := ask[api.Enrollment](c, "GET", "/factories/"+url.PathEscape(c.id())+"/query?domain="+url.QueryEscape(name.String()), nil)
	if err != nil {
		c.fail(err)
		return
	}
	out := object{"domain_name": e.Domain, "RenewalConfiguration": nil, "X509Certificates": []object{}}
	if e.Certificate != nil {
		_, out["RenewalConfiguration"] = renewalOf(*e.Certificate)
		out["X509Certificates"] = latest(*e.Certificate)
	}
	c.success(out)
}

// whoami answers the host name that the server believes it was asked for.
func whoami(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Peter-SSLers", "production")
	_, _ = w.Write([]byte(hostOnly(q.Host))) // the caller is gone, or reads it
}

// hostOnly is a Host header without its port.
func hostOnly(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}
