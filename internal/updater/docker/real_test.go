package docker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// TestARealEngine has containers and a Swarm service that use a certificate, on one
// engine, because starting one takes seconds.
func TestARealEngine(t *testing.T) {
	host, api := realEngine(t)
	name := image(t, api)
	t.Run("containers", func(t *testing.T) { realContainers(t, host, api, name) })
	t.Run("service", func(t *testing.T) { realService(t, host, api, name) })
}

// renew puts another certificate into a folder that a container sees.
func renew(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "fullchain.pem"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startContainer runs the service in a container.
func startContainer(t *testing.T, api *client.Client, image, name string, labels map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	renew(t, dir, "first")
	made, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: image, Labels: labels},
		HostConfig: &container.HostConfig{NetworkMode: "none", Binds: []string{dir + ":/data"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	notes(t, dir, 1)
	return dir
}

func realContainers(t *testing.T, host string, api *client.Client, image string) {
	yes := map[string]string{"tls": "yes"}
	web, web2 := startContainer(t, api, image, "web", yes), startContainer(t, api, image, "web-2", yes)
	other := startContainer(t, api, image, "db", nil)
	act := func(c ContainerConfig) (string, error) {
		t.Helper()
		c.Host = host
		u, err := NewContainer(c, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		return u.Tell(t.Context(), nil)
	}
	renew(t, web, "second")
	if said, err := act(ContainerConfig{Engine: Engine{Name: "web"}, Grace: certfleet.Duration(5 * time.Second)}); err != nil || said != "restarted container web" {
		t.Fatalf("restart: %q, %v", said, err)
	}
	if got := notes(t, web, 2); !slices.Equal(got, []string{"started first", "started second"}) {
		t.Errorf("the container that was restarted noted %q", got)
	}
	renew(t, web, "third")
	renew(t, web2, "third")
	said, err := act(ContainerConfig{Engine: Engine{Filters: map[string][]string{"label": {"tls=yes"}}}, Signal: "SIGHUP"})
	if err != nil || strings.Count(said, "sent SIGHUP to container web") != 2 {
		t.Fatalf("signal: %q, %v", said, err)
	}
	if got := notes(t, web, 3); got[2] != "reloaded third" {
		t.Errorf("web noted %q", got)
	}
	if got := notes(t, web2, 2); !slices.Equal(got, []string{"started first", "reloaded third"}) {
		t.Errorf("web-2 noted %q", got)
	}
	if got := notes(t, other, 1); len(got) != 1 {
		t.Errorf("a container that nobody meant noted %q", got)
	}
	for what, c := range map[string]struct {
		ContainerConfig
		kind certfleet.Kind
	}{
		"a part of a name":    {ContainerConfig{Engine: Engine{Name: "we"}}, certfleet.NotFound},
		"a label nobody has":  {ContainerConfig{Engine: Engine{Filters: map[string][]string{"label": {"tls=no"}}}}, certfleet.NotFound},
		"an unknown filter":   {ContainerConfig{Engine: Engine{Filters: map[string][]string{"colour": {"red"}}}}, certfleet.Internal},
		"a signal that is no": {ContainerConfig{Engine: Engine{Name: "web"}, Signal: "SIGNOTHING"}, certfleet.Internal},
	} {
		if _, err := act(c.ContainerConfig); err == nil || certfleet.KindOf(err) != c.kind || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v (%s)", what, err, certfleet.AdviceOf(err))
		}
	}
}

func realService(t *testing.T, host string, api *client.Client, image string) {
	if _, err := api.SwarmInit(t.Context(), client.SwarmInitOptions{ListenAddr: "127.0.0.1:0", AdvertiseAddr: "127.0.0.1"}); err != nil {
		t.Skipf("no Swarm here: %v; only the stand-in for one was used", err)
	}
	dirs, ids := map[string]string{}, map[string]string{}
	for _, name := range []string{"front", "front-end"} {
		dirs[name] = t.TempDir()
		renew(t, dirs[name], "first")
		none := uint64(0)
		made, err := api.ServiceCreate(t.Context(), client.ServiceCreateOptions{Spec: swarm.ServiceSpec{Annotations: swarm.Annotations{Name: name}, TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: image, Mounts: []mount.Mount{{Type: mount.TypeBind, Source: dirs[name], Target: "/data"}}},
			Networks:      []swarm.NetworkAttachmentConfig{{Target: "host"}}, RestartPolicy: &swarm.RestartPolicy{MaxAttempts: &none}}}})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = made.ID
	}
	for _, dir := range dirs {
		notes(t, dir, 1)
	}
	tell := func(name string) (string, error) {
		t.Helper()
		u, err := NewService(ServiceConfig{Engine{Host: host, Name: name}}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		return u.Tell(t.Context(), nil)
	}
	renew(t, dirs["front"], "second")
	if said, err := tell("front"); err != nil || !strings.HasPrefix(said, "updated service front") {
		t.Fatalf("%q, %v", said, err)
	}
	if got := notes(t, dirs["front"], 2); !slices.Equal(got, []string{"started first", "started second"}) {
		t.Errorf("the service that was updated noted %q", got)
	}
	if got := notes(t, dirs["front-end"], 1); len(got) != 1 {
		t.Errorf("a service whose name only begins so noted %q", got)
	}
	is, err := api.ServiceInspect(t.Context(), ids["front"], client.ServiceInspectOptions{})
	if err != nil || is.Service.Spec.TaskTemplate.ForceUpdate != 1 || !strings.HasPrefix(is.Service.Spec.TaskTemplate.ContainerSpec.Image, image) {
		t.Errorf("the service is now %+v, %v", is.Service.Spec.TaskTemplate, err)
	}
	if _, err := tell("fron"); certfleet.KindOf(err) != certfleet.NotFound {
		t.Errorf("a part of a name: %v", err)
	}
}
