package lego

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/miekg/dns"
)

// TestMain is also the child: a provider whose zone is the test server's.
func TestMain(m *testing.M) {
	if os.Getenv("FAKE_SERVER") != "" {
		os.Exit(fake())
	}
	os.Exit(m.Run())
}

func fake() int {
	note("started " + strings.Join(os.Args[1:], " "))
	switch os.Getenv("FAKE_MODE") {
	case "mute":
		time.Sleep(time.Minute)
	case "garbage":
		fmt.Println("hello!")
	case "dead on arrival":
		fmt.Fprintln(os.Stderr, "panic: token is", os.Getenv("FAKE_TOKEN"))
		return 2
	case "no credentials":
		fmt.Println(`{"error":"some variables are missing: FAKE_KEY"}`)
		return 1
	}
	fmt.Printf(`{"hello":{"protocol":1,"version":"test","provider":%q}}`+"\n", os.Args[2])
	presented := map[string]request{}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var q request
		json.Unmarshal(in.Bytes(), &q)
		json.NewEncoder(os.Stdout).Encode(obey(q, presented))
	}
	for _, q := range presented { // the parent is gone
		q.Op = "cleanup"
		obey(q, presented)
	}
	note("ended")
	return 0
}

func obey(q request, presented map[string]request) response {
	note(q.Op + " " + q.Token)
	switch os.Getenv("FAKE_MODE") {
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: token is", os.Getenv("FAKE_TOKEN"))
		os.Exit(2)
	case "hang":
		time.Sleep(time.Minute)
	case "slow":
		time.Sleep(time.Second)
	case "refuse":
		return response{ID: q.ID, Error: "403 for token " + os.Getenv("FAKE_TOKEN")}
	case "remains":
		return response{ID: q.ID, Error: "unknown record ID", Remains: true}
	case "out of step":
		return response{ID: q.ID + 7}
	}
	if q.Op == "present" {
		presented[q.Token] = q
	} else {
		delete(presented, q.Token)
	}
	update(q)
	return response{ID: q.ID}
}

func update(q request) {
	name, _ := certfleet.ParseName(q.Domain)
	c := certfleet.Challenge{Name: name, KeyAuth: q.KeyAuth}
	rr, _ := dns.NewRR(c.DNSName() + " 0 IN TXT " + strconv.Quote(c.DNSValue()))
	m := new(dns.Msg).SetUpdate("example.org.")
	if q.Op == "present" {
		m.Insert([]dns.RR{rr})
	} else {
		m.Remove([]dns.RR{rr})
	}
	m.SetTsig(solvertest.KeyName, dns.HmacSHA256, 300, time.Now().Unix())
	client := dns.Client{Net: "tcp", TsigSecret: map[string]string{solvertest.KeyName: solvertest.KeySecret}}
	if in, _, err := client.Exchange(m, os.Getenv("FAKE_SERVER")); err != nil || in.Rcode != 0 {
		note("update refused")
	}
}

func note(s string) {
	f, err := os.OpenFile(os.Getenv("FAKE_NOTES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, os.Getpid(), s)
		f.Close()
	}
}

// lab is a zone, a solver with a fake child, and what its children did.
type lab struct {
	t     *testing.T
	dns   *solvertest.DNS
	notes string
	mode  string
}

const token = "token-that-must-not-be-seen"

func newLab(t *testing.T, mode string) *lab {
	t.Setenv("FAKE_TOKEN_SOURCE", token)
	return &lab{t: t, mode: mode, notes: filepath.Join(t.TempDir(), "notes"), dns: solvertest.Serve(t, solvertest.Zone("example.org.", 2)...)}
}

func (l *lab) solver(t *testing.T, more ...func(*Config)) *Solver {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Provider: "fake", Program: self, Timeout: certfleet.Duration(10 * time.Second),
		Env:      map[string]string{"FAKE_TOKEN": "env:FAKE_TOKEN_SOURCE"},
		Settings: map[string]string{"FAKE_SERVER": l.dns.Addr(), "FAKE_NOTES": l.notes, "FAKE_MODE": l.mode},
		DNS:      dnsq.Config{Resolvers: []string{l.dns.Addr()}, AuthorityPort: l.dns.Port, Timeout: certfleet.Duration(trial.Patience)},
	}
	for _, f := range more {
		f(&c)
	}
	s, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// count is how often the children noted something that contains word.
func (l *lab) count(word string) int {
	b, _ := os.ReadFile(l.notes)
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, word) {
			n++
		}
	}
	return n
}
