package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// ContainerConfig says which containers, and what to do with them. It is about
// running ones alone.
type ContainerConfig struct {
	Engine
	// Signal is sent instead of a restart, such as SIGHUP.
	Signal string `json:"signal,omitempty"`
	// Grace is how long a restart waits for the container's own end before it is
	// killed, in whole seconds; zero means 10s.
	Grace certfleet.Duration `json:"grace,omitempty"`
}

// Container restarts or signals containers.
type Container struct{ c ContainerConfig }

const grace = 10 * time.Second

// NewContainer checks the configuration; it connects nowhere.
func NewContainer(c ContainerConfig, _ dial.Deps) (*Container, error) {
	if c.Grace <= 0 {
		c.Grace = certfleet.Duration(grace)
	}
	if strings.ContainsAny(c.Signal, " \t\n") {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("signal %q is not one", c.Signal), Advice: "write a signal's name, such as SIGHUP"}
	}
	return &Container{c}, c.settle()
}

// Update restarts or signals every running container that fits; one that cannot
// be updated stops no other. That none fits is an error.
func (u *Container) Update(ctx context.Context, changed []certfleet.Bundle) error {
	_, err := u.Tell(ctx, changed)
	return err
}

// Tell is Update, and answers what was done.
func (u *Container) Tell(ctx context.Context, _ []certfleet.Bundle) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(u.c.Timeout))
	defer cancel()
	docker, err := u.c.open()
	if err != nil {
		return "", err
	}
	defer docker.Close()
	found, err := u.find(ctx, docker)
	if err != nil {
		return "", u.c.explain("looking for containers", err)
	}
	var said []string
	var problems []error
	for _, c := range found {
		done, err := u.act(ctx, docker, c)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		said = append(said, done)
	}
	return strings.Join(said, "\n"), errors.Join(problems...)
}

func (u *Container) find(ctx context.Context, docker *client.Client) ([]container.Summary, error) {
	f := u.c.filters()
	if u.c.Name != "" {
		f = f.Add("name", u.c.Name) // a part of the name fits there, so it is compared below
	}
	list, err := docker.ContainerList(ctx, client.ContainerListOptions{Filters: f})
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(list.Items, func(c container.Summary) bool {
		return c.State != container.StateRunning || u.c.Name != "" && !slices.Contains(c.Names, "/"+u.c.Name)
	})
	if len(found) == 0 {
		return nil, u.c.none("running container")
	}
	return found, nil
}

func (u *Container) act(ctx context.Context, docker *client.Client, c container.Summary) (string, error) {
	name := strings.TrimPrefix(strings.Join(c.Names, " "), "/")
	if u.c.Signal != "" {
		_, err := docker.ContainerKill(ctx, c.ID, client.ContainerKillOptions{Signal: u.c.Signal})
		return fmt.Sprintf("sent %s to container %s", u.c.Signal, name), u.c.explain("sending "+u.c.Signal+" to container "+name, err)
	}
	seconds := int(time.Duration(u.c.Grace).Seconds())
	_, err := docker.ContainerRestart(ctx, c.ID, client.ContainerRestartOptions{Timeout: &seconds})
	return "restarted container " + name, u.c.explain("restarting container "+name, err)
}
