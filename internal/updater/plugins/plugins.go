// Package plugins has every updater, one line each, and builds them from settings.
package plugins

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
	"github.com/certfleet/certfleet/internal/updater/docker"
	"github.com/certfleet/certfleet/internal/updater/haproxy"
	"github.com/certfleet/certfleet/internal/updater/initrc"
	"github.com/certfleet/certfleet/internal/updater/nginx"
	"github.com/certfleet/certfleet/internal/updater/script"
	"github.com/certfleet/certfleet/internal/updater/systemd"
)

// When says when an updater runs, beside its own settings.
type When struct {
	// For are labels of certificates that it depends on, with * for anything;
	// empty means all.
	For []string `json:"for,omitempty"`
	// Order is its place among the others: lower ones run first, and those of one
	// place in the order in which they are written. What came as JSON through the API
	// is kept by label, so that there the label decides where Order does not.
	Order int `json:"order,omitempty"`
	// Always runs it whatever changed.
	Always bool `json:"always,omitempty"`
	// Retries after a failed attempt; zero means 2, -1 means none.
	Retries int `json:"retries,omitempty"`
	// Pause before the first retry, doubled with each; zero means 1s.
	Pause certfleet.Duration `json:"pause,omitempty"`
	// Limit bounds an attempt whatever the updater's own timeout is; zero means 10m.
	Limit certfleet.Duration `json:"limit,omitempty"`
}

// itemTime bounds an attempt when its Limit does not.
const itemTime = 10 * time.Minute

type maker func(config.Section, dial.Deps) (certfleet.Updater, When, error)

// updaterTypes are all updaters, one line each.
var updaterTypes = map[string]maker{
	"script": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, script.New, func(c *struct {
			script.Config
			When
		}) (script.Config, When) {
			return c.Config, c.When
		})
	},
	"systemd": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, systemd.New, func(c *struct {
			systemd.Config
			When
		}) (systemd.Config, When) {
			return c.Config, c.When
		})
	},
	"initrc": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, initrc.New, func(c *struct {
			initrc.Config
			When
		}) (initrc.Config, When) {
			return c.Config, c.When
		})
	},
	"nginx": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, nginx.New, func(c *struct {
			nginx.Config
			When
		}) (nginx.Config, When) {
			return c.Config, c.When
		})
	},
	"haproxy": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, haproxy.New, func(c *struct {
			haproxy.Config
			When
		}) (haproxy.Config, When) {
			return c.Config, c.When
		})
	},
	"docker_container": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, docker.NewContainer, func(c *struct {
			docker.ContainerConfig
			When
		}) (docker.ContainerConfig, When) {
			return c.ContainerConfig, c.When
		})
	},
	"docker_service": func(s config.Section, d dial.Deps) (certfleet.Updater, When, error) {
		return build(s, d, docker.NewService, func(c *struct {
			docker.ServiceConfig
			When
		}) (docker.ServiceConfig, When) {
			return c.ServiceConfig, c.When
		})
	},
}

// build reads a section into both, and makes the updater.
func build[W, C any, U certfleet.Updater](s config.Section, d dial.Deps, construct func(C, dial.Deps) (U, error), parts func(*W) (C, When)) (certfleet.Updater, When, error) {
	both := new(W)
	if err := s.Decode(both); err != nil {
		return nil, When{}, err
	}
	c, when := parts(both)
	u, err := construct(c, d)
	if err != nil {
		return nil, when, &certfleet.Error{Kind: certfleet.KindOf(err), Msg: "updater " + s.Label, Advice: certfleet.AdviceOf(err), Err: err}
	}
	return u, when, nil
}

// Items builds the list of updaters, in the order of the settings.
func Items(sections config.Sections, d dial.Deps) ([]updater.Item, error) {
	var list []updater.Item
	order := map[string]int{}
	for _, s := range sections {
		make, ok := updaterTypes[s.Type]
		if !ok {
			return nil, s.UnknownType("updater", slices.Sorted(maps.Keys(updaterTypes)))
		}
		u, when, err := make(s, d)
		if err != nil {
			return nil, s.Problem(err)
		}
		order[s.Label] = when.Order
		list = append(list, updater.Item{Name: s.Label, Updater: u, For: when.For, Always: when.Always, Retries: when.Retries, Pause: time.Duration(when.Pause), Timeout: cmp.Or(time.Duration(when.Limit), itemTime)})
	}
	slices.SortStableFunc(list, func(a, b updater.Item) int { return cmp.Compare(order[a.Name], order[b.Name]) })
	return list, nil
}
