package intake

import (
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// maxConcurrency bounds the connections to one target.
const maxConcurrency = 64

// paceOf checks how a target asks to be delivered to.
func paceOf(t api.Target) (certfleet.Pace, error) {
	p := certfleet.Pace{Group: t.Group, Canary: t.Canary, PushMode: certfleet.PushMode(t.PushMode), Concurrency: t.Concurrency, Rate: t.Rate}
	switch {
	case p.PushMode != "" && p.PushMode != certfleet.PushParallel && p.PushMode != certfleet.PushSerial:
		return p, invalid("use parallel or serial", fmt.Sprintf("push_mode %q is not known", t.PushMode))
	case p.Canary && p.Group == "":
		return p, invalid("say which group it goes before", fmt.Sprintf("target %q is a canary without a group", t.Label))
	case p.Concurrency < 0 || p.Concurrency > maxConcurrency:
		return p, invalid(fmt.Sprintf("use 1 to %d, or leave it out", maxConcurrency), fmt.Sprintf("concurrency %d cannot be used", p.Concurrency))
	case p.Rate < 0:
		return p, invalid("say how many versions a minute, or leave it out", fmt.Sprintf("rate %d cannot be used", p.Rate))
	case len(p.Group) > 100:
		return p, invalid("use a shorter word", "the group's name is too long")
	}
	return p, nil
}
