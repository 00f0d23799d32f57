package probe

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNamesAreLookedUpAtTheConfiguredResolver(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(q.Question[0].Name + " 1 IN A 127.0.0.77")
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })
	got := resolve(t.Context(), "inside.certfleet.test:8443", Options{Resolvers: []string{pc.LocalAddr().String()}})
	if len(got) != 1 || !strings.HasPrefix(got[0].Address+got[0].Remote, "127.0.0.77:8443") {
		t.Errorf("the name is at %+v", got)
	}
}
