package compat

import (
	"net"
	"net/http"
	"slices"

	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) operationRoutes() []route {
	return slices.Concat(get("/api/version", (*call).release), h.routineRoutes(), h.nginxRoutes())
}

func (c *call) release() {
	r, err := ask[api.Release](c, "GET", "/version", nil)
	c.show(object{"version": r.Release, "config_uri-path": nil, "config_uri-contents": nil, "mac_uuid": nil}, err)
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
