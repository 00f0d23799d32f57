package docker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// standIn speaks the part of the Docker Engine API (1.41) that is used here, over
// a unix socket, and is strict: it refuses what it does not know. It stands in
// for an engine, which tests cannot count on.
type standIn struct {
	t    *testing.T
	host string

	mu         sync.Mutex // guards what follows
	containers []*box
	services   []*swarmService
	warn       string
	slow       time.Duration
}

type box struct {
	ID, Name, State string
	Labels          map[string]string
	Restarts        int
	Grace           string
	Signals         []string
}

type swarmService struct {
	ID, Name, Image string
	Labels          map[string]string
	Version         int
	Force           int
}

func engine(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{t: t, host: "unix://" + filepath.Join(t.TempDir(), "docker.sock")}
	l, err := net.Listen("unix", strings.TrimPrefix(s.host, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("GET /v1.41/containers/json", s.listContainers)
	mux.HandleFunc("POST /v1.41/containers/{id}/restart", s.restart)
	mux.HandleFunc("POST /v1.41/containers/{id}/kill", s.kill)
	mux.HandleFunc("GET /v1.41/services", s.listServices)
	mux.HandleFunc("POST /v1.41/services/{id}/update", s.update)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, 404, "page not found: %s", r.URL.Path) })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return s
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": fmt.Sprintf(format, args...)})
}

// fits evaluates filters as the engine does: any value of a term, all terms. A
// name fits when it is a part of a container's name, or begins a service's.
func fits(w http.ResponseWriter, r *http.Request, known string) (func(id, name string, labels map[string]string) bool, bool) {
	filters := map[string]map[string]bool{}
	if text := r.URL.Query().Get("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			refuse(w, 400, "invalid filter: %v", err)
			return nil, false
		}
	}
	for term := range filters {
		if !strings.Contains(known, term) {
			refuse(w, 400, "invalid filter '%s'", term)
			return nil, false
		}
	}
	return func(_, name string, labels map[string]string) bool {
		for term, values := range filters {
			ok := false
			for v := range values {
				key, want, both := strings.Cut(v, "=")
				got, has := labels[key]
				ok = ok || term == "name" && strings.Contains(name, v) || term == "label" && has && (!both || got == want)
			}
			if !ok {
				return false
			}
		}
		return true
	}, true
}

func (s *standIn) listContainers(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	match, ok := fits(w, r, "name label")
	if !ok {
		return
	}
	list := []map[string]any{}
	for _, c := range s.containers {
		if match(c.ID, c.Name, c.Labels) && (c.State == "running" || r.URL.Query().Get("all") == "1") {
			list = append(list, map[string]any{"Id": c.ID, "Names": []string{"/" + c.Name}, "State": c.State, "Labels": c.Labels})
		}
	}
	json.NewEncoder(w).Encode(list)
}

func (s *standIn) find(w http.ResponseWriter, id string) *box {
	for _, c := range s.containers {
		if c.ID == id {
			return c
		}
	}
	refuse(w, 404, "No such container: %s", id)
	return nil
}

func (s *standIn) restart(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.find(w, r.PathValue("id")); c != nil {
		if _, err := strconv.Atoi(r.URL.Query().Get("t")); err != nil {
			refuse(w, 400, "strconv.Atoi: %v", err)
			return
		}
		if c.State == "broken" {
			refuse(w, 500, "Cannot restart container %s: driver failed", c.ID)
			return
		}
		c.Restarts, c.Grace, c.State = c.Restarts+1, r.URL.Query().Get("t"), "running"
		w.WriteHeader(204)
	}
}

func (s *standIn) kill(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signal := r.URL.Query().Get("signal")
	c := s.find(w, r.PathValue("id"))
	switch {
	case c == nil:
	case !strings.HasPrefix(signal, "SIG"):
		refuse(w, 400, "Invalid signal: %s", signal)
	case c.State != "running":
		refuse(w, 409, "Container %s is not running", c.ID)
	default:
		c.Signals = append(c.Signals, signal)
		w.WriteHeader(204)
	}
}

func (s *standIn) listServices(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	match, ok := fits(w, r, "name label id mode")
	if !ok {
		return
	}
	list := []map[string]any{}
	for _, c := range s.services {
		if match(c.ID, c.Name, c.Labels) {
			list = append(list, map[string]any{"ID": c.ID, "Version": map[string]any{"Index": c.Version},
				"Spec": map[string]any{"Name": c.Name, "Labels": c.Labels, "TaskTemplate": map[string]any{"ContainerSpec": map[string]any{"Image": c.Image}, "ForceUpdate": c.Force}}})
		}
	}
	json.NewEncoder(w).Encode(list)
}

func (s *standIn) update(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var spec struct {
		Name         string
		TaskTemplate struct {
			ContainerSpec struct{ Image string }
			ForceUpdate   int
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		refuse(w, 400, "%v", err)
		return
	}
	for _, c := range s.services {
		if c.ID != r.PathValue("id") {
			continue
		}
		if r.URL.Query().Get("version") != strconv.Itoa(c.Version) {
			refuse(w, 500, "rpc error: code = Unknown desc = update out of sequence")
			return
		}
		if spec.Name != c.Name || spec.TaskTemplate.ContainerSpec.Image != c.Image {
			refuse(w, 400, "the specification changed")
			return
		}
		c.Force, c.Version = spec.TaskTemplate.ForceUpdate, c.Version+1
		answer := map[string]any{"Warnings": nil}
		if s.warn != "" {
			answer["Warnings"] = []string{s.warn}
		}
		json.NewEncoder(w).Encode(answer)
		return
	}
	refuse(w, 404, "service %s not found", r.PathValue("id"))
}
