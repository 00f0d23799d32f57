package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/certfleet/certfleet"
)

var escapes = regexp.MustCompile("\x1b\\[[0-9]*[A-Za-z]")

func TestTheBlockIsDrawnInPlaceWithinTheWidth(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true, width: 30}
	block := [][]part{{{"shop.demo.test ", bold}, {strings.Repeat("x", 60), red}}, {{"a\nb\x1b[2J", ""}}}
	s.draw(block)
	first := out.String()
	if n := strings.Count(first, "\n"); n != len(block) {
		t.Fatalf("%d lines for a block of %d: %q", n, len(block), first)
	}
	if strings.Contains(first, "\x1b") {
		t.Errorf("colours or a stranger's escapes without Color: %q", first)
	}
	for line := range strings.Lines(first) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n >= s.width {
			t.Errorf("a line of %d columns on a screen of %d", n, s.width)
		}
	}
	out.Reset()
	s.draw(block)
	if !strings.HasPrefix(out.String(), "\x1b[2A") {
		t.Errorf("the second draw does not go up to the first: %q", out.String())
	}
	out.Reset()
	s.say("for good")
	s.draw(block)
	if want := "\x1b[2A\r\x1b[Jfor good\n"; !strings.HasPrefix(out.String(), want) || strings.Contains(out.String()[len(want):], "\x1b[2A") {
		t.Errorf("a line for good stands above the block: %q", out.String())
	}
}

func TestColourChangesNoText(t *testing.T) {
	line := []part{{"served", green}, {" plain ", ""}, {strings.Repeat("é", 40), red}}
	plain := (&screen{}).paint(line, 24)
	colored := (&screen{color: true}).paint(line, 24)
	if plain == colored || escapes.ReplaceAllString(colored, "") != plain {
		t.Errorf("%q against %q", colored, plain)
	}
}

// TestWayOfACertificate walks one through its events, a renewal included.
func TestWayOfACertificate(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	track := newTrack(wishes[0], &certfleet.Certificate{ID: 1, Label: "shop.demo.test"}, start)
	v1, v2 := &certfleet.Version{ID: 7, Serial: "aa"}, &certfleet.Version{ID: 8, Serial: "bb"}
	for i, step := range []struct {
		kind    string
		version *certfleet.Version
		shown   bool
		state   string
	}{
		{"order.wanted", nil, false, "wanted"},
		{"order.placed", nil, true, "open"},
		{"version.issued", v1, true, "issued"},
		{"delivery.applied", v1, true, "delivered"},
		{"delivery.served", v1, true, "served"},
		{"certificate.window", v1, false, "served"},
		{"order.wanted", nil, true, "wanted"},
		{"delivery.served", v1, true, "served"}, // a second look at the old one comes late
		{"order.failed", nil, true, "failed"},
		{"order.wanted", nil, true, "wanted"},
		{"order.placed", nil, true, "open"},
		{"version.issued", v2, true, "issued"},
		{"delivery.served", v1, false, "issued"},
		{"delivery.unseen", v2, true, "issued"},
		{"delivery.served", v2, true, "served"},
	} {
		n := news{Event: certfleet.Event{Kind: step.kind, At: start.Add(time.Duration(i) * time.Second), Msg: "words"}}
		if n.version = step.version; n.version != nil {
			n.VersionID = n.version.ID
		}
		if shown := track.hear(n); shown != step.shown || track.state() != step.state {
			t.Fatalf("step %d, %s: shown %v and %s, want %v and %s", i, step.kind, shown, track.state(), step.shown, step.state)
		}
	}
	if track.before != "aa" || track.problem != "" || !track.settled() {
		t.Errorf("in the end: before %q, problem %q", track.before, track.problem)
	}
}

func TestACertificateFitsALineOfEightyColumns(t *testing.T) {
	start := time.Now()
	for _, w := range wishes {
		tr := newTrack(w, &certfleet.Certificate{Label: w.names[0]}, start)
		for s := open; s < stages; s++ {
			tr.reach(s, start.Add(time.Duration(s)*time.Second), "words")
		}
		d := &demo{fleet: &fleet{tracks: []*track{tr}}}
		line := (&screen{}).paint(d.block(start.Add(9 * time.Second))[0], 0)
		if n := utf8.RuneCountInString(line); n > 79 || !strings.Contains(line, "served 4.0 s") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPathsAreOneWordOfAShell(t *testing.T) {
	for in, want := range map[string]string{"/tmp/demo-1": "/tmp/demo-1", "/tmp/my demo": "'/tmp/my demo'", "/tmp/o'b$x": `'/tmp/o'\''b$x'`} {
		if got := quote(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
