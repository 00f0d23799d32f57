package compat

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/certfleet/certfleet/internal/api"
)

func (c *call) expireDomain() {
	name, err := c.name()
	if err != nil {
		c.fail(err)
		return
	}
	c.expire([]string{name.String()})
}

func (c *call) expireCertificate() {
	v, err := c.readVersionStory(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	c.expire(v.Names)
}

// expire has the edges forget names, and answers a success when each of them did.
func (c *call) expire(names []string) {
	answers, err := c.askEdges("flush", names)
	if err != nil {
		c.fail(err)
		return
	}
	if len(answers) == 0 {
		c.json(http.StatusOK, object{"result": "error", "error": "nginx is not enabled"})
		return
	}
	bad := []string{}
	for _, e := range answers {
		if !e.OK {
			bad = append(bad, e.URL)
		}
	}
	id, err := c.note("nginx_cache_expire", strconv.Itoa(len(names))+" names were expired at "+strconv.Itoa(len(answers)-len(bad))+" nginx servers, and not at "+strconv.Itoa(len(bad)))
	if err != nil {
		c.fail(err)
		return
	}
	good, failed := c.domainIDs(names), []int64{}
	out := object{"result": "success", "operation": "nginx_cache_expire"}
	if len(bad) > 0 {
		good, failed = failed, good
		out["result"], out["error"] = "error", "not every nginx server answered as it should: "+bad[0]
	}
	out["operations_event"] = object{"id": id, "event_payload": object{"domain_ids": object{"success": good, "failure": failed}}}
	c.json(http.StatusOK, out)
}

// domainIDs are the ids of those names that are here.
func (c *call) domainIDs(names []string) []int64 {
	ids := []int64{}
	for _, n := range names {
		if d, err := ask[api.Domain](c, "GET", domainPath(n), nil); err == nil {
			ids = append(ids, d.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
