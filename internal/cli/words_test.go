package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
)

func TestTimesAreRelativeAndAbsolute(t *testing.T) {
	now := time.Date(2026, 11, 3, 12, 0, 0, 0, time.Local)
	for in, want := range map[time.Duration]string{
		0: "now", 40 * time.Second: "in 40 s", -90 * time.Second: "90 s ago", 5 * time.Minute: "in 5 min",
		-26 * time.Hour: "26 h ago", 49 * time.Hour: "in 2 d", 61 * 24 * time.Hour: "in 61 d",
	} {
		if got := relative(now.Add(in), now); got != want {
			t.Errorf("%v: got %q, want %q", in, got, want)
		}
	}
	if got := when(now.Add(time.Hour), now); got != "2026-11-03 13:00 (in 60 min)" {
		t.Errorf("got %q", got)
	}
	if got := when(time.Time{}, now); got != "-" {
		t.Errorf("never is %q", got)
	}
}

func TestExitCodesSayWhatToDoNext(t *testing.T) {
	kind := func(k certfleet.Kind) error { return fmt.Errorf("doing: %w", &certfleet.Error{Kind: k, Msg: "x"}) }
	for name, row := range map[string]struct {
		err  error
		want int
	}{
		"nothing": {nil, 0}, "plain": {errors.New("x"), 1}, "silent": {errSilent, 1}, "usage": {&usageError{errors.New("x")}, 2},
		"invalid": {kind(certfleet.Invalid), 2}, "not found": {kind(certfleet.NotFound), 2}, "conflict": {kind(certfleet.Conflict), 2},
		"denied": {kind(certfleet.Denied), 3}, "unreachable": {kind(certfleet.Unreachable), 3}, "limited": {kind(certfleet.Limited), 3}, "internal": {kind(certfleet.Internal), 1},
	} {
		p, _ := quietProgram()
		if got := p.report(row.err); got != row.want {
			t.Errorf("%s: exit code %d, want %d", name, got, row.want)
		}
	}
}

func TestEveryProblemIsReportedWithItsAdvice(t *testing.T) {
	p, out := quietProgram()
	one := &certfleet.Error{Kind: certfleet.Invalid, Msg: "one is wrong", Advice: "correct one"}
	two := &certfleet.Error{Kind: certfleet.Limited, Msg: "two waits", Advice: "wait", Retry: time.Now().Add(3 * time.Hour)}
	p.report(errors.Join(one, joined([]error{two, errors.New("three\nhas two lines")})))
	for _, want := range []string{"error: one is wrong\nadvice: correct one\n", "error: two waits\nadvice: wait\nretry: 20", "error: three\n  has two lines\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	p, out = quietProgram()
	if p.report(context.Canceled); out.String() != "error: interrupted\n" {
		t.Errorf("got %q", out)
	}
}

func TestColoursDoNotMoveColumns(t *testing.T) {
	plain, plainOut := quietProgram()
	painted, paintedOut := quietProgram()
	painted.color = true
	for _, p := range []*program{plain, painted} {
		tab := p.table("LABEL", "STATE", "NOTE")
		tab.row("straße.example", "failing", "a\tb\nc")
		tab.row("x", "active", "")
		if err := tab.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "LABEL           STATE    NOTE\nstraße.example  failing  a b c\nx               active   -\n"; plainOut.String() != want {
		t.Errorf("got\n%s", plainOut)
	}
	if !strings.Contains(paintedOut.String(), "\x1b[31mfailing\x1b[0m") {
		t.Errorf("nothing is red: %q", paintedOut)
	}
	stripped := paintedOut.Bytes()
	for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[31m"} {
		stripped = bytes.ReplaceAll(stripped, []byte(code), nil)
	}
	if !bytes.Equal(stripped, plainOut.Bytes()) {
		t.Errorf("without colours it is\n%s", stripped)
	}
}

func TestNearbyWordsAreFewAndNear(t *testing.T) {
	known := []string{"shop.example", "www.shop.example", "blog.example", "ship.example", "default"}
	for in, want := range map[string][]string{
		"shopp.example": {"shop.example", "ship.example"}, "defalt": {"default"}, "SHOP.EXAMPLE": {"shop.example", "ship.example", "www.shop.example"}, "zzzzzzzz": nil,
	} {
		if got := nearby(in, slices.Clone(known)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

func TestManagerIsReachedOnLoopbackWhenItListensEverywhere(t *testing.T) {
	for in, want := range map[config.Address]string{":7443": "https://localhost:7443", "0.0.0.0:1": "https://localhost:1", "[::]:1": "https://localhost:1", "192.0.2.1:1": "https://192.0.2.1:1"} {
		c := config.Default()
		c.Listen.API = in
		if got := reachable(c); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	c := config.Default()
	c.PublicURL = "https://certs.example"
	if got := reachable(c); got != c.PublicURL {
		t.Errorf("got %s", got)
	}
}

func TestSettingsOfTargetsAreWordsOrJSON(t *testing.T) {
	got, err := spec([]string{"dir=/etc/tls", "keep=3", `command=["systemctl","reload","nginx"]`, "note=a=b", "on=true"})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "map[command:[systemctl reload nginx] dir:/etc/tls keep:3 note:a=b on:true]" {
		t.Errorf("got %v", got)
	}
}

func TestACommandThatIsNearlyRightIsNamed(t *testing.T) {
	known := []string{"init", "list", "limits", "renew", "remove", "revoke", "show", "search"}
	for wrong, want := range map[string]string{"lsit": "list", "lst": "list", "shwo": "show", "revok": "revoke", "renwe": "renew", "xyz": ""} {
		if got := nearest(wrong, known); got != want {
			t.Errorf("for %q %q is named, want %q", wrong, got, want)
		}
	}
}
