package preflight

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/solver/tlsalpn01"
	"github.com/certfleet/certfleet/internal/trial"
)

func nothing(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "nothing here", http.StatusNotFound)
}

func to(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
}

// TestTheChallengeIsFetchedAsACAWould has one server for each way to answer.
func TestTheChallengeIsFetchedAsACAWould(t *testing.T) {
	t.Parallel()
	const path = certfleet.ChallengePath + "ping"
	l := newLab(t)
	cases := []struct {
		name   string
		plain  http.HandlerFunc
		secure http.HandlerFunc
		want   expect
	}{
		{"right", ping, nil, expect{}},
		{"other", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>welcome") }, nil, expect{WrongAnswer, false, `not ours: "<html>welcome"`}},
		{"missing", nothing, nil, expect{WrongAnswer, false, "status 404"}},
		{"endless", endless, nil, expect{WrongAnswer, false, "not ours"}},
		{"expired", to("https://expired.example.org" + path), ping, expect{}}, // any certificate will do
		{"secure-missing", to("https://secure-missing.example.org" + path), nothing, expect{WrongAnswer, false, "status 404 after a redirect to https://secure-missing.example.org/"}},
		{"shut", to("https://shut.example.org" + path), nil, expect{WrongAnswer, false, "redirects to https://shut.example.org/.well-known/acme-challenge/ping: the connection is refused"}},
		{"onward", to("http://right.example.org" + path), nil, expect{}},
		{"loop", to("http://loop.example.org" + path), nil, expect{WrongAnswer, false, "again and again"}},
		{"long", long, nil, expect{WrongAnswer, false, "more than 10 times"}},
		{"port", to("http://right.example.org:8080" + path), nil, expect{WrongAnswer, false, "a port that a CA does not follow"}},
		{"scheme", to("ftp://right.example.org" + path), nil, expect{WrongAnswer, false, "a scheme that a CA does not follow"}},
		{"inward", to("http://10.0.0.1" + path), nil, expect{WrongAnswer, false, "is not public"}},
		{"lost", to("http://lost.elsewhere.test" + path), nil, expect{WrongAnswer, false, "redirects to http://lost.elsewhere.test"}},
	}
	for i, c := range cases {
		addr := fmt.Sprintf("127.0.1.%d", i+1)
		l.dns.Add(t, c.name+".example.org. 60 IN A "+addr)
		l.web(addr, c.plain)
		if c.secure != nil {
			l.secure(addr, c.secure)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.want.check(t, (&lab{t, l.dns, l.deps}).ask(c.name+".example.org", certfleet.HTTP01))
		})
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for range 1000 {
		if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
			return
		}
	}
}

func long(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"?"+strings.Repeat("x", len(r.URL.RawQuery)+1), http.StatusFound)
}

func TestATokenOfOursIsFetchedToo(t *testing.T) {
	t.Parallel()
	l := newLab(t, "www.example.org. 60 IN A 127.0.0.2")
	l.web("127.0.0.2", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "is "+r.URL.Path) })
	ask := func(answer string) Report {
		return l.ask("www.example.org", certfleet.HTTP01, func(q *Question) { q.Token, q.Answer = "abc", answer })
	}
	expect{}.check(t, ask("is /.well-known/acme-challenge/abc"))
	expect{WrongAnswer, false, "not ours"}.check(t, ask("something else"))
}

func TestAServerThatSaysNothingIsNotWaitedForLong(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	l := newLab(t, "mute.example.org. 60 IN A 127.0.0.2")
	ln := l.listen("127.0.0.2", l.deps.HTTPPort)
	defer ln.Close()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	r := Look(ctx, Question{Name: parse(t, "mute.example.org"), Challenge: certfleet.HTTP01}, l.deps)
	expect{WrongAnswer, false, "no HTTP answer: no answer in time"}.check(t, r)
	if took := time.Since(begin); took > (fetchTime+lookTime)/2+time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTheProtocolOfTLSALPNIsLookedFor(t *testing.T) {
	t.Parallel()
	l := newLab(t, "ours.example.org. 60 IN A 127.0.0.2", "web.example.org. 60 IN A 127.0.0.3", "h2.example.org. 60 IN A 127.0.0.4",
		"text.example.org. 60 IN A 127.0.0.5", "shut.example.org. 60 IN A 127.0.0.6")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ln := l.listen("127.0.0.2", l.deps.HTTPSPort)
	done := make(chan error, 1)
	go func() {
		done <- tlsalpn01.Serve(ctx, ln, func(context.Context, string) (string, bool, error) { return "", false, nil }, nil)
	}()
	l.secure("127.0.0.3", nothing)
	l.secure("127.0.0.4", nothing, "h2")
	l.serve("127.0.0.5", l.deps.HTTPSPort, func(ln net.Listener) net.Listener { return ln }, nothing)
	for name, want := range map[string]expect{
		"ours.example.org": {},
		"web.example.org":  {WrongAnswer, false, "not acme-tls/1"},
		"h2.example.org":   {WrongAnswer, false, "refuses acme-tls/1"},
		"text.example.org": {WrongAnswer, false, "no TLS handshake"},
		"shut.example.org": {PortClosed, false, "the connection is refused"},
	} {
		want.check(t, l.ask(name, certfleet.TLSALPN01))
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSightsOfSeveralAddressesAreJudgedTogether(t *testing.T) {
	t.Parallel()
	six, six2, four, four2 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ten := netip.MustParseAddr("10.0.0.7")
	good := func(a netip.Addr) sight { return sight{a, ours, ""} }
	for _, c := range []struct {
		what      string
		sights    []sight
		elsewhere string
		outside   bool
		class     Class
		certain   bool
		says      string
		advice    string
	}{
		{what: "all well", sights: []sight{good(six), good(four)}},
		{what: "IPv6 cannot be seen from here", sights: []sight{{six, unknown, "?"}, good(four)}},
		{what: "nothing can be seen from here", sights: []sight{{six, unknown, "?"}}},
		{what: "IPv6 alone is shut", sights: []sight{{six, closed, "does not answer"}, good(four)}, class: PortClosed, says: "2001:db8::1 does not answer", advice: "repair IPv6"},
		{what: "IPv6 alone is another server", sights: []sight{{six, wrong, "answers 404"}, good(four)}, class: WrongAnswer, says: "2001:db8::1 answers 404", advice: "AAAA"},
		{what: "one of two servers lags", sights: []sight{good(four), {four2, wrong, "answers 404"}}, class: WrongAnswer, says: "192.0.2.2 answers 404", advice: "every address"},
		{what: "one of two IPv6 servers lags", sights: []sight{good(six), {six2, closed, "is shut"}, good(four)}, class: PortClosed, says: "2001:db8::2", advice: "every address"},
		{what: "all private", sights: []sight{{four, private, "is private"}}, class: PortClosed, says: "private", advice: "dns.resolvers"},
		{what: "all private and elsewhere", sights: []sight{{four, private, "is private"}}, elsewhere: "it is not ours", class: PortClosed, says: "private", advice: "dns.resolvers"},
		{what: "one private, the other elsewhere", sights: []sight{{six, private, "is private"}, {four, wrong, "answers 404"}}, elsewhere: "it is not ours", class: PortClosed, says: "a CA outside", advice: "dns.resolvers"},
		{what: "elsewhere in a network that may be reached", sights: []sight{{ten, closed, "is shut"}}, elsewhere: "it is not ours", class: PortClosed, says: "is shut", advice: "dns.resolvers"},
		{what: "our own in such a network", sights: []sight{good(ten)}, elsewhere: "it is not ours"},
		{what: "all private, seen from outside", outside: true, sights: []sight{{four, private, "is private"}}, class: PortClosed, certain: true, says: "private", advice: "public address"},
		{what: "elsewhere, seen from outside", outside: true, sights: []sight{{ten, closed, "is shut"}}, elsewhere: "it is not ours", class: Elsewhere, certain: true, says: "it is not ours: "},
		{what: "one private", sights: []sight{{four, private, "is private"}, {four2, closed, "is shut"}}, class: PortClosed, says: "is shut"},
		{what: "shut and wrong", sights: []sight{{six, closed, "is shut"}, {four, wrong, "answers 404"}}, class: WrongAnswer, says: "is shut; 192.0.2.1 answers 404"},
		{what: "elsewhere", sights: []sight{{four, wrong, "answers 404"}}, elsewhere: "it is not ours", class: Elsewhere, certain: true, says: "it is not ours: "},
		{what: "elsewhere, and yet answered", sights: []sight{good(four)}, elsewhere: "it is not ours"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := judge(parse(t, "www.example.org"), certfleet.HTTP01, c.sights, c.elsewhere, c.outside)
			if c.class == "" {
				if len(got) != 0 {
					t.Errorf("found %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Class != c.class || got[0].Certain != c.certain || !strings.Contains(got[0].Seen, c.says) || !strings.Contains(got[0].Advice, c.advice) || got[0].Advice == "" {
				t.Errorf("found %+v", got)
			}
		})
	}
}

func TestManyNamesAreLookedAtSideBySide(t *testing.T) {
	t.Parallel()
	l := newLab(t, "*.example.org. 60 IN A 127.0.0.2")
	var list []Question
	var records []string
	for i := range 30 {
		name := "n" + strings.Repeat("x", i) + ".example.org"
		records = append(records, name+". 60 IN A 127.0.0.2")
		list = append(list, Question{Name: parse(t, name), Challenge: certfleet.HTTP01})
	}
	l.dns.Add(t, records[:29]...)
	l.web("127.0.0.2", ping)
	for i, r := range LookAll(t.Context(), list, l.deps) {
		if r.Name != list[i].Name {
			t.Errorf("report %d is about %s", i, r.Name)
		}
		want := expect{}
		if i == 29 {
			want = expect{Gone, true, "NXDOMAIN"}
		}
		want.check(t, r)
	}
}
