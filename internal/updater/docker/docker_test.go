package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

func boxes() []*box {
	return []*box{
		{ID: "c1", Name: "web", State: "running", Labels: map[string]string{"tls": "yes"}},
		{ID: "c2", Name: "web-2", State: "running", Labels: map[string]string{"tls": "yes", "tier": "edge"}},
		{ID: "c3", Name: "db", State: "running"},
		{ID: "c4", Name: "old", State: "exited", Labels: map[string]string{"tls": "yes"}},
	}
}

func TestContainersAreChosenExactly(t *testing.T) {
	for want, c := range map[string]Engine{
		"web":       {Name: "web"},
		"web web-2": {Filters: map[string][]string{"label": {"tls=yes"}}},
		"web-2":     {Filters: map[string][]string{"label": {"tier"}}},
		"web ":      {Name: "web", Filters: map[string][]string{"label": {"tls=yes"}}},
	} {
		s := engine(t)
		s.containers, c.Host = boxes(), s.host
		u, err := NewContainer(ContainerConfig{Engine: c}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Update(t.Context(), nil); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		var got []string
		for _, b := range s.containers {
			if b.Restarts == 1 && b.Grace == "10" {
				got = append(got, b.Name)
			}
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("restarted %v, want %s", got, want)
		}
	}
}

func TestContainerIsSignalledInsteadOfRestarted(t *testing.T) {
	s := engine(t)
	s.containers = boxes()
	u, _ := NewContainer(ContainerConfig{Engine: Engine{Host: s.host, Name: "web"}, Signal: "SIGHUP"}, dial.Deps{})
	said, err := u.Tell(t.Context(), nil)
	if err != nil || said != "sent SIGHUP to container web" || !slices.Equal(s.containers[0].Signals, []string{"SIGHUP"}) || s.containers[0].Restarts != 0 {
		t.Errorf("said %q, %v; %+v", said, err, s.containers[0])
	}
}

func TestContainerProblemsCarryAdvice(t *testing.T) {
	s := engine(t)
	s.containers = boxes()
	u, _ := NewContainer(ContainerConfig{Engine: Engine{Host: s.host, Name: "old"}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.NotFound {
		t.Errorf("a stopped container: %v", err)
	}
	u, _ = NewContainer(ContainerConfig{Engine: Engine{Host: s.host, Filters: map[string][]string{"colour": {"red"}}}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "invalid filter") || certfleet.AdviceOf(err) == "" {
		t.Errorf("a filter that the engine refuses: %v", err)
	}
	u, _ = NewContainer(ContainerConfig{Engine: Engine{Host: "unix://" + t.TempDir() + "/none.sock", Name: "web"}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("no engine there: %v", err)
	}
	s.slow = time.Second
	u, _ = NewContainer(ContainerConfig{Engine: Engine{Host: s.host, Name: "web", Timeout: certfleet.Duration(100 * time.Millisecond)}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("an engine that takes too long: %v", err)
	}
	for _, c := range []ContainerConfig{{}, {Engine: Engine{Name: "x", Host: "nonsense"}}, {Engine: Engine{Name: "x"}, Signal: "a b"}} {
		if _, err := NewContainer(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestServiceIsForcedOnceWithItsOwnSpecification(t *testing.T) {
	s := engine(t)
	s.services = []*swarmService{
		{ID: "s1", Name: "web", Image: "web@sha256:1", Version: 11, Force: 4},
		{ID: "s2", Name: "webhooks", Image: "hooks:2", Version: 7},
	}
	s.warn = "image could not be accessed on a registry"
	u, err := NewService(ServiceConfig{Engine{Host: s.host, Name: "web"}}, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	said, err := u.Tell(t.Context(), nil)
	if err != nil || !strings.Contains(said, "updated service web\n") || !strings.Contains(said, s.warn) {
		t.Errorf("said %q, %v", said, err)
	}
	if s.services[0].Force != 5 || s.services[0].Version != 12 || s.services[1].Force != 0 {
		t.Errorf("services are now %+v and %+v", *s.services[0], *s.services[1])
	}
	u, _ = NewService(ServiceConfig{Engine{Host: s.host, Name: "we"}}, dial.Deps{})
	if err := u.Update(t.Context(), nil); certfleet.KindOf(err) != certfleet.NotFound || certfleet.AdviceOf(err) == "" {
		t.Errorf("a service that is not there: %v", err)
	}
}

func TestHostWithTwoSlashesIsMeantWell(t *testing.T) {
	u, err := NewContainer(ContainerConfig{Engine: Engine{Host: "unix://var/run/docker.sock", Name: "x"}}, dial.Deps{})
	if err != nil || u.c.Host != "unix:///var/run/docker.sock" {
		t.Errorf("got %q, %v", u.c.Host, err)
	}
}
