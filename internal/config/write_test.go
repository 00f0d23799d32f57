package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var uncomment = regexp.MustCompile(`(?m)^( *)#(\w)`)

func TestTheCommentedFileIsTheDefault(t *testing.T) {
	c, err := Parse(commented, "")
	if err != nil {
		t.Fatal(err)
	}
	if !same(c, Default()) {
		t.Errorf("got %+v", c)
	}
}

// What the file calls the default must be the default.
func TestTheCommentedFileTellsTheTruth(t *testing.T) {
	c, err := Parse(uncomment.ReplaceAll(commented, []byte("$1$2")), "")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Database, want.SealingKey = want.DefaultDatabase(), want.KeyReference()
	if !same(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *c, *want)
	}
}

func TestTheCommentedFileExplainsEverySetting(t *testing.T) {
	src, body, err := parse(uncomment.ReplaceAll(commented, []byte("$1$2")), "")
	if err != nil {
		t.Fatal(err)
	}
	d := newDecoder(src)
	d.value(body, reflect.ValueOf(Default()).Elem(), "")
	all := 0
	settings(reflect.ValueOf(Default()).Elem(), "", func(path string, _ reflect.Value) {
		all++
		if _, ok := d.at[path]; !ok {
			t.Errorf("%s is not in certfleet.yaml", path)
		}
	})
	if _, ok := d.at["solvers"]; !ok || all < 20 {
		t.Errorf("%d settings, solvers %v", all, ok)
	}
}

func TestWriteSetsWhatWasChosen(t *testing.T) {
	text := Write(Choices{Contact: []string{"a@example.com", "b@example.com"}, StateDir: "/srv/my certs", Database: "env:DB",
		SealingKey: "file:/k", API: "127.0.0.1:1", HTTP01: ":8080", TLSALPN01: "[::1]:443"})
	c, err := Parse(text, "")
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	want := Default()
	want.Contact, want.StateDir, want.Database, want.SealingKey = []string{"a@example.com", "b@example.com"}, "/srv/my certs", "env:DB", "file:/k"
	want.Listen = Listen{API: "127.0.0.1:1", HTTP01: ":8080", TLSALPN01: "[::1]:443", Edge: Off, Agents: Off}
	if !same(c, want) {
		t.Errorf("got %+v", *c)
	}
	if lines := func(b []byte) int { return strings.Count(string(b), "\n") }; lines(text) != lines(commented) {
		t.Error("a comment was lost")
	}
	if string(Write(Choices{})) != Commented() {
		t.Error("nothing was chosen, yet something is set")
	}
}
