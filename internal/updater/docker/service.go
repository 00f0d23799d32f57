package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// ServiceConfig says which Swarm services.
type ServiceConfig struct{ Engine }

// Service makes the tasks of Swarm services start anew, as the services' own
// update settings say, with the image that they have.
type Service struct{ c ServiceConfig }

// NewService checks the configuration; it connects nowhere.
func NewService(c ServiceConfig, _ dial.Deps) (*Service, error) {
	return &Service{c}, c.settle()
}

// Update forces an update of every service that fits; that none fits is an error.
func (u *Service) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers what was done and what the engine warned of.
func (u *Service) Tell(ctx context.Context, _ []certfleet.Bundle) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(u.c.Timeout))
	defer cancel()
	docker, err := u.c.open()
	if err != nil {
		return "", err
	}
	defer docker.Close()
	found, err := u.find(ctx, docker)
	if err != nil {
		return "", u.c.explain("looking for services", err)
	}
	var said []string
	var problems []error
	for _, s := range found {
		warnings, err := force(ctx, docker, s)
		if err != nil {
			problems = append(problems, u.c.explain("updating service "+s.Spec.Name, err))
			continue
		}
		said = append(said, append([]string{"updated service " + s.Spec.Name}, warnings...)...)
	}
	return strings.Join(said, "\n"), errors.Join(problems...)
}

func (u *Service) find(ctx context.Context, docker *client.Client) ([]swarm.Service, error) {
	f := u.c.filters()
	if u.c.Name != "" {
		f = f.Add("name", u.c.Name) // the beginning of a name fits there, so it is compared below
	}
	list, err := docker.ServiceList(ctx, client.ServiceListOptions{Filters: f})
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(list.Items, func(s swarm.Service) bool { return u.c.Name != "" && s.Spec.Name != u.c.Name })
	if len(found) == 0 {
		return nil, u.c.none("service")
	}
	return found, nil
}

// force hands the service's own specification back with a higher ForceUpdate.
// The version makes the engine refuse it if somebody changed the service meanwhile.
func force(ctx context.Context, docker *client.Client, s swarm.Service) ([]string, error) {
	spec := s.Spec
	spec.TaskTemplate.ForceUpdate++
	done, err := docker.ServiceUpdate(ctx, s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: spec, RegistryAuthFrom: swarm.RegistryAuthFromSpec})
	return done.Warnings, err
}
