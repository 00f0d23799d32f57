package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// besideLabel is the target that leads to nginx. What happens there is shown at
// the end alone, so that a demo without it shows the same.
const besideLabel = "nginx"

// nginxTime bounds how long nginx may take to serve what the edge serves already.
const nginxTime = 5 * time.Second

// openNginx starts nginx, or remembers why there is none.
func (d *demo) openNginx() {
	var err error
	if d.nginx, err = startNginx(d.home); err != nil {
		d.without = err.Error()
	}
}

// places are the targets of this run.
func (d *demo) places() []place {
	list := []place{{"edge", "files", d.edge.addr, d.edgeSpec()}, {"agent", "sftp", d.beside.service.addr, d.beside.spec}}
	if d.nginx != nil {
		list = append(list, place{besideLabel, "redis", d.nginx.addr, d.nginx.spec})
	}
	return list
}

// throughNginx makes a handshake with nginx for every name that goes there, and
// says what was seen.
func (d *demo) throughNginx(ctx context.Context) {
	if d.nginx == nil {
		d.screen.say("")
		d.screen.say("No nginx edge is shown: " + d.without + ". On Debian: apt-get install nginx libnginx-mod-http-lua lua-cjson redis-server")
		return
	}
	seen, missed := 0, []string{}
	deadline := time.Now().Add(nginxTime)
	for _, t := range d.fleet.tracks {
		if !t.nginx || t.version == nil {
			continue
		}
		for _, name := range t.names {
			if d.nginxServes(ctx, t, name, deadline) {
				seen++
			} else {
				missed = append(missed, name)
			}
		}
	}
	d.screen.say("")
	line := fmt.Sprintf("nginx with certfleet's Lua module, at %s: %s found by server name in Redis and seen in a handshake", d.nginx.addr, plural(seen, "name"))
	if len(missed) > 0 {
		line += "; not seen: " + strings.Join(missed, ", ")
	}
	d.screen.say(line + ".")
}

// nginxServes looks until the newest version is shown. The manager brings it there
// by itself, a moment before or after it is at the edge.
func (d *demo) nginxServes(ctx context.Context, t *track, name string, deadline time.Time) bool {
	for {
		if p := handshake(ctx, d.nginx.addr, name, d.ca.RootsPEM()); p.err == nil && p.serial == t.version.Serial {
			return true
		}
		if time.Now().After(deadline) || sleep(ctx, listen) != nil {
			return false
		}
	}
}

// aside reports whether an event is about a delivery to nginx.
func (f *fleet) aside(e certfleet.Event) bool {
	return f.beside != 0 && e.TargetID == f.beside && strings.HasPrefix(e.Kind, "delivery.")
}

// targetsOf is where a wish goes.
func (f *fleet) targetsOf(w wish) []string {
	list := []string{w.place()}
	if w.nginx && f.beside != 0 {
		list = append(list, besideLabel)
	}
	return slices.Compact(list)
}
