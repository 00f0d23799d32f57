package compat

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (h *Handler) routineRoutes() []route {
	issue, deliver := certfleet.ScopeIssue, certfleet.ScopeDeliver
	var all []route
	for _, some := range [][]route{
		post("/api/redis/prime", deliver, (*call).primeAll, "Writes every target of type redis whole, and waits for it."),
		post("/api/update-recents", issue, nothingToDo("update_recents"), "Nothing is to be done: what a name serves is settled when its certificate is."),
		post("/domain/{domain}/update-recents", issue, (*call).updateRecents, "Nothing is to be done: what a name serves is settled when its certificate is."),
		post("/api/reconcile-cas", issue, nothingToDo("reconcile_cas"), "Nothing is to be done: chains are kept as CAs send them."),
		post("/api/deactivate-expired", issue, nothingToDo("deactivate_expired"), "Nothing is to be done: what has expired is served only where nothing else is left."),
	} {
		all = append(all, some...)
	}
	return all
}

// note puts on record that a routine was asked for, and answers the event's id.
func (c *call) note(what, msg string) (id int64, err error) {
	e := certfleet.Event{Kind: "routine." + what, Tenant: c.who.Tenant, Msg: msg}
	err = c.h.DB.Tx(c.ctx, time.Now(), func(tx *store.Tx) (err error) {
		id, err = tx.NumberedEvent(c.ctx, e)
		return err
	})
	return id, err
}

// nothingToDo answers a routine that this system has no need of.
func nothingToDo(what string) func(*call) {
	return func(c *call) {
		id, err := c.note(what, "asked for by "+c.who.Label+"; nothing is to be done")
		out := object{"operations_event": object{"id": id}, "operations_event_id": id}
		if what == "deactivate_expired" {
			out["X509Certificate"] = object{}
		}
		c.done(out, err)
	}
}

// updateRecents answers the domain as it is.
func (c *call) updateRecents() {
	if _, err := c.name(); err != nil {
		c.fail(err)
		return
	}
	nothingToDo("update_recents")(c)
}

// redis are the targets that edges read from.
func (c *call) redis() (found []api.Target, err error) {
	for cursor := ""; ; {
		p, err := ask[api.Page[api.Target]](c, "GET", "/targets?limit=1000&cursor="+cursor, nil)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Items {
			if t.Type == "redis" {
				found = append(found, t)
			}
		}
		if cursor = p.Next; cursor == "" {
			return found, nil
		}
	}
}

// primeAll writes all targets, and answers success when every certificate is
// there. The keys and chains that the older system counted beside are written
// with the certificates, and not counted.
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
	names, certificates := 0, 0
	for _, t := range targets {
		run, err := c.primed(t)
		if err != nil {
			c.fail(err)
			return
		}
		if msg := unprimed(run); msg != "" {
			c.json(http.StatusOK, object{"result": "error", "error": "target " + t.Label + ": " + msg})
			return
		}
		names, certificates = names+run.Names, certificates+run.Certificates
	}
	id, err := c.note("redis_prime", fmt.Sprintf("%d names of %d certificates were written to %d targets", names, certificates, len(targets)))
	c.done(object{"operations_event": object{"id": id, "total_primed": object{"cert": certificates, "domain": names}}}, err)
}

// unprimed is why a target is not written whole, empty when it is.
func unprimed(run api.TargetRun) string {
	switch {
	case run.State == "running":
		return fmt.Sprintf("%d of %d certificates are written; it goes on, ask again", run.Certificates, run.Total)
	case run.State != "done":
		return run.State + " " + run.Problem
	case run.Failed > 0:
		return fmt.Sprintf("%d certificates could not be written", run.Failed)
	}
	return ""
}

// primed starts a full write and waits until it has ended, or patience has.
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
