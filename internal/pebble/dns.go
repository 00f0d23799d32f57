package pebble

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// server is an authority over every name there is.
type server struct {
	addr    string
	resolve func(string) []netip.Addr
	udp     *dns.Server
	tcp     *dns.Server
	done    sync.WaitGroup

	mu    sync.Mutex
	txt   map[string][]string // under mu
	cname map[string]string   // under mu
}

func startDNS(addr string, resolve func(string) []netip.Addr) (*server, error) {
	ln, pc, err := listenBoth(addr)
	if err != nil {
		return nil, err
	}
	s := &server{addr: ln.Addr().String(), resolve: resolve, txt: map[string][]string{}, cname: map[string]string{}}
	s.tcp = &dns.Server{Listener: ln, Handler: s, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	s.udp = &dns.Server{PacketConn: pc, Handler: s}
	for _, srv := range []*dns.Server{s.tcp, s.udp} {
		up := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		s.done.Go(func() { srv.ActivateAndServe() })
		<-up // shutting down a server that has not begun would leave it running
	}
	return s, nil
}

// listenBoth takes one port for TCP and UDP.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	var errs error
	for range 10 {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for the test DNS: %w", err)
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return ln, pc, nil
		}
		errs = errors.Join(err, ln.Close())
	}
	return nil, nil, fmt.Errorf("listen for the test DNS: %w", errs)
}

// ServeDNS answers one question.
func (s *server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	if len(q.Question) == 1 {
		m.Answer, m.Rcode = s.answer(q.Question[0])
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(dns.MinMsgSize)
	}
	w.WriteMsg(m)
}

func (s *server) answer(q dns.Question) (rr []dns.RR, rcode int) {
	name := plain(q.Name)
	if target := s.target(name); target != "" {
		rr = append(rr, &dns.CNAME{Hdr: head(q.Name, dns.TypeCNAME), Target: dns.Fqdn(target)})
		q.Name, name = dns.Fqdn(target), target
	}
	txt := s.texts(name)
	addrs := s.resolve(name)
	if len(addrs) == 0 && len(txt) == 0 && len(rr) == 0 {
		return nil, dns.RcodeNameError
	}
	switch q.Qtype {
	case dns.TypeTXT:
		rr = append(rr, txtRecords(q.Name, txt)...)
	case dns.TypeA, dns.TypeAAAA:
		rr = append(rr, addresses(q, addrs)...)
	}
	return rr, dns.RcodeSuccess
}

func txtRecords(name string, values []string) (rr []dns.RR) {
	for _, v := range values {
		var parts []string
		for part := range slices.Chunk([]byte(v), 255) { // RFC 1035 section 3.3
			parts = append(parts, string(part))
		}
		rr = append(rr, &dns.TXT{Hdr: head(name, dns.TypeTXT), Txt: parts})
	}
	return rr
}

func addresses(q dns.Question, addrs []netip.Addr) (rr []dns.RR) {
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Qtype == dns.TypeA:
			rr = append(rr, &dns.A{Hdr: head(q.Name, dns.TypeA), A: a.AsSlice()})
		case a.Is6() && q.Qtype == dns.TypeAAAA:
			rr = append(rr, &dns.AAAA{Hdr: head(q.Name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	return rr
}

func head(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: 1}
}

// plain is how names are compared: in lower case, without the last dot.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (s *server) texts(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.txt[name])
}

func (s *server) target(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cname[name]
}

func (s *server) add(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.txt[plain(name)] = append(s.txt[plain(name)], value)
}

func (s *server) clear(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.txt, plain(name))
}

func (s *server) alias(name, target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == "" {
		delete(s.cname, plain(name))
		return
	}
	s.cname[plain(name)] = plain(target)
}

func (s *server) close() error {
	err := errors.Join(s.tcp.Shutdown(), s.udp.Shutdown())
	s.done.Wait()
	return err
}
