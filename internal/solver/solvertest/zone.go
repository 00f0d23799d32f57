package solvertest

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// The TSIG key that every test server knows.
const (
	KeyName   = "update-key."
	KeySecret = "c2VjcmV0LWZvci10aGUtdGVzdC1zZXJ2ZXItb25seSE="
)

// DNS is a small name server on loopback: authoritative for what it is told,
// recursive for whoever asks so, and open to signed dynamic updates (RFC 2136).
// It speaks on 127.0.0.1, .2 and .3 at one port, so that name servers can differ.
type DNS struct {
	Port int

	mu      sync.Mutex
	records []dns.RR                    // guarded by mu
	zones   []string                    // guarded by mu: those that updates may change
	faults  map[fault]int               // guarded by mu: an rcode, or one of the marks below
	asked   map[string]map[string]uint8 // guarded by mu: name -> "network address type" -> count
}

type fault struct{ addr, name string }

// What a server can be told to do instead of answering, beside any rcode.
const (
	Silent   = -1 // never answer
	Hide     = -2 // answer as if the name had no record
	Truncate = -3 // cut every UDP answer
	Lame     = -4 // answer without authority
	NoEDNS   = -5 // refuse EDNS as servers of the last century do
	Bogus    = -6 // SERVFAIL unless checking is disabled
	Unsigned = -7 // leave the signature out of the answer to an update
)

// Addresses are those at which a DNS listens.
var Addresses = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}

// Serve starts a DNS with the records, in zone-file form. It may be updated in
// the zones whose SOA is among them.
func Serve(t testing.TB, records ...string) *DNS {
	t.Helper()
	d := &DNS{faults: map[fault]int{}, asked: map[string]map[string]uint8{}}
	d.Add(t, records...)
	for _, rr := range d.records {
		if rr.Header().Rrtype == dns.TypeSOA {
			d.zones = append(d.zones, rr.Header().Name)
		}
	}
	for !d.listen(t) {
		d.Port = 0
	}
	return d
}

// Zone is a SOA and NS records for one to three name servers with addresses.
func Zone(name string, servers int) []string {
	out := []string{name + " 60 IN SOA ns1." + name + " admin." + name + " 1 60 60 60 60"}
	for i := range servers {
		host := "ns" + strconv.Itoa(i+1) + "." + name
		out = append(out, name+" 60 IN NS "+host, host+" 60 IN A "+Addresses[i])
	}
	return out
}

// listen opens all sockets at one port, or none.
func (d *DNS) listen(t testing.TB) bool {
	var opened []*dns.Server
	for _, addr := range Addresses {
		for _, network := range []string{"udp", "tcp"} {
			s, err := d.open(network, addr)
			if err != nil {
				shut(opened)
				return false
			}
			opened = append(opened, s)
		}
	}
	var wg sync.WaitGroup
	for _, s := range opened {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		wg.Go(func() { s.ActivateAndServe() })
		<-up
	}
	t.Cleanup(func() {
		for _, s := range opened {
			s.Shutdown()
		}
		wg.Wait()
	})
	return true
}

func (d *DNS) open(network, addr string) (*dns.Server, error) {
	s := &dns.Server{
		Handler:       dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { d.answer(w, q, network, addr) }),
		TsigSecret:    map[string]string{KeyName: KeySecret},
		MsgAcceptFunc: acceptUpdates,
	}
	at := net.JoinHostPort(addr, strconv.Itoa(d.Port))
	var err error
	if network == "udp" {
		s.PacketConn, err = net.ListenPacket("udp", at)
		if err == nil {
			d.Port = s.PacketConn.LocalAddr().(*net.UDPAddr).Port
		}
		return s, err
	}
	s.Listener, err = net.Listen("tcp", at)
	return s, err
}

func shut(servers []*dns.Server) {
	for _, s := range servers {
		if s.PacketConn != nil {
			s.PacketConn.Close()
		}
		if s.Listener != nil {
			s.Listener.Close()
		}
	}
}

// acceptUpdates lets through what the library's default refuses.
func acceptUpdates(h dns.Header) dns.MsgAcceptAction {
	if opcode := int(h.Bits>>11) & 0xF; opcode == dns.OpcodeUpdate {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(h)
}

// Addr is the server's first address with its port.
func (d *DNS) Addr() string { return net.JoinHostPort(Addresses[0], strconv.Itoa(d.Port)) }

// Add puts records, in zone-file form.
func (d *DNS) Add(t testing.TB, records ...string) {
	t.Helper()
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatalf("record %q: %v", s, err)
		}
		d.insert(rr)
	}
}

// Fail makes one address answer questions for name with an rcode or a mark;
// name "" is for every question, addr "" for every address.
func (d *DNS) Fail(addr, name string, how int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[fault{addr, name}] = how
}

// Heal takes back what Fail said.
func (d *DNS) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.faults)
}

// Values are the TXT values at name, sorted.
func (d *DNS) Values(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, rr := range d.records {
		if txt, ok := rr.(*dns.TXT); ok && strings.EqualFold(txt.Hdr.Name, name) {
			out = append(out, strings.Join(txt.Txt, ""))
		}
	}
	slices.Sort(out)
	return out
}

// SetTXT makes values the only TXT records at name.
func (d *DNS) SetTXT(t testing.TB, name string, values ...string) {
	t.Helper()
	d.mu.Lock()
	d.records = slices.DeleteFunc(d.records, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeTXT && strings.EqualFold(rr.Header().Name, name)
	})
	d.mu.Unlock()
	for _, v := range values {
		d.Add(t, name+" 0 IN TXT "+strconv.Quote(v))
	}
}

// Asked counts the questions for name that came over the network to addr.
func (d *DNS) Asked(network, addr, name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(d.asked[name][network+" "+addr])
}

func (d *DNS) insert(rr dns.RR) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, old := range d.records {
		if dns.IsDuplicate(old, rr) {
			return
		}
	}
	d.records = append(d.records, rr)
}
