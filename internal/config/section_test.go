package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

type inner struct {
	Mode string `json:"mode"`
}

type plugin struct {
	inner
	Server  string             `json:"server"`
	TTL     certfleet.Duration `json:"ttl"`
	Port    uint16             `json:"port"`
	Command []string           `json:"command"`
	Env     map[string]string  `json:"env,omitempty"`
	Nested  *inner             `json:"nested"`
	Free    any                `json:"free"`
	Hidden  string             `json:"-"`
}

func section(t *testing.T, settings string) Section {
	t.Helper()
	c, err := Parse([]byte("solvers:\n  a:\n    type: x\n"+settings), "f")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.Solvers.Find("a")
	if !ok {
		t.Fatal("no solver a")
	}
	return s
}

func TestDecodeReadsAPluginsOwnConfig(t *testing.T) {
	s := section(t, `    server: ns.example
    mode: 0640
    ttl: 2m
    command: [run, 7, "x y"]
    env: {A: 1.10, B: "true"}
    nested: {mode: r}
    free: {n: 1, l: [a, true]}
`)
	got := plugin{Port: 53, Server: "default"}
	if err := s.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := plugin{inner: inner{"0640"}, Server: "ns.example", TTL: certfleet.Duration(120e9), Port: 53, Command: []string{"run", "7", "x y"},
		Env: map[string]string{"A": "1.10", "B": "true"}, Nested: &inner{"r"}, Free: map[string]any{"n": uint64(1), "l": []any{"a", true}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestDecodeIsAsStrictAsTheFile(t *testing.T) {
	err := section(t, "    sever: x\n    port: 99999\n    hidden: x\n").Decode(&plugin{})
	got := Problems(err)
	if len(got) != 3 {
		t.Fatalf("%d problems: %v", len(got), err)
	}
	for i, want := range []string{`f:4:5: there is no setting "sever" in solvers.a; did you mean "server"?`, "f:5:11: solvers.a.port: ", `f:6:5: there is no setting "hidden"`} {
		if !strings.HasPrefix(got[i].Msg, want) {
			t.Errorf("got %s, want %s", got[i].Msg, want)
		}
	}
}

func TestNewSectionReadsJSON(t *testing.T) {
	s, err := NewSection("web", "files", []byte(`{"server":"a\u00e9","port":7,"command":["a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got plugin
	if err := s.Decode(&got); err != nil || got.Server != "aé" || got.Port != 7 || len(got.Command) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	s, _ = NewSection("web", "files", []byte(`{"prt":7}`))
	if err := s.Decode(&got); err == nil || !strings.Contains(err.Error(), `"prt" in web; did you mean "port"?`) {
		t.Errorf("got %v", err)
	}
	if s, err := NewSection("web", "files", nil); err != nil || s.Decode(&got) != nil {
		t.Errorf("nothing to decode: %v", err)
	}
}

func TestDistanceCountsLetters(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"api", "ap", 1}, {"databsae", "database", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
