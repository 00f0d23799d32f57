package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) nginxRoutes() []route {
	deliver := certfleet.ScopeDeliver
	const forget = "Has every nginx of every target of type redis forget "
	return slices.Concat(post("/api/nginx/cache-flush", deliver, edges("flush"), forget+"its cache."),
		post("/api/nginx/status", deliver, edges("ask"), "Asks every nginx of every target of type redis how its cache stands."),
		post("/domain/{domain}/nginx-cache-expire", deliver, (*call).expireDomain, forget+"the domain."),
		post("/x509-certificate/{id}/nginx-cache-expire", deliver, (*call).expireCertificate, forget+"the names of the certificate."))
}

// edges asks the nginx servers of all redis targets, or flushes them, and answers
// one by one. It is a success when one of them answered so.
func edges(what string) func(*call) {
	return func(c *call) {
		answers, err := c.askEdges(what, nil)
		if err != nil {
			c.fail(err)
			return
		}
		if len(answers) == 0 {
			c.json(http.StatusOK, object{"result": "error", "error": "nginx is not enabled"})
			return
		}
		good, bad, servers := []string{}, []string{}, object{}
		for _, e := range answers {
			servers[e.URL] = cacheOf(e)
			if e.OK {
				good = append(good, e.URL)
			} else {
				bad = append(bad, e.URL)
			}
		}
		out := object{"result": "success", "servers_status": object{"success": good, "errors": bad, "servers": servers}}
		if len(good) == 0 {
			out["result"], out["error"] = "error", "no nginx server answered as it should"
		}
		c.flushed(what, out, good, bad)
	}
}

// flushed answers, and puts on record first what changed something.
func (c *call) flushed(what string, out object, good, bad []string) {
	if what == "flush" {
		id, err := c.note("nginx_cache_flush", strconv.Itoa(len(good))+" nginx servers were flushed, "+strconv.Itoa(len(bad))+" were not")
		if err != nil {
			c.fail(err)
			return
		}
		out["operations_event"] = object{"id": id}
	}
	c.json(http.StatusOK, out)
}

// askEdges are the answers of all edges, to a flush about these names alone if there
// are any. One that several targets name is asked for each, and its last answer
// counts.
func (c *call) askEdges(what string, names []string) (all []api.TargetEdge, err error) {
	targets, err := c.redis()
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		got, err := ask[api.TargetEdges](c, "POST", "/targets/"+strconv.FormatInt(t.ID, 10)+"/edges/"+what+"?"+url.Values{"name": names}.Encode(), nil)
		if err != nil {
			return nil, err
		}
		for _, e := range got.Edges {
			all = slices.DeleteFunc(all, func(is api.TargetEdge) bool { return is.URL == e.URL })
			all = append(all, e)
		}
	}
	return all, nil
}

// cacheOf is one server's answer as the older system shows it.
func cacheOf(e api.TargetEdge) any {
	switch {
	case e.OK:
		return e.Answer
	case e.Status != 0:
		return object{"status": "error", "error": "response", "response": object{"status_code": e.Status, "text": e.Answer["text"]}}
	}
	return object{"status": "error", "error": "Exception", "Exception": e.Problem}
}
