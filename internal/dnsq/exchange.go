package dnsq

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the answer size that passes everywhere unfragmented (DNS flag day 2020).
const udpSize = 1232

func question(name string, qtype uint16, recurse bool) *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.CanonicalName(name), qtype)
	m.RecursionDesired = recurse
	return m.SetEdns0(udpSize, false)
}

// recurse asks the recursive servers in turn until one gives an answer that
// means something: data, no data, or that the name does not exist.
func (r *Resolver) recurse(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	servers, err := r.servers()
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		var in *dns.Msg
		in, err = r.ask(ctx, plain, s, question(name, qtype, true))
		if err == nil || errors.Is(err, ErrNotExist) || ctx.Err() != nil {
			return in, err
		}
		r.explain(ctx, s, err)
	}
	return nil, err
}

// explain asks once more without DNSSEC: a server that then answers has found
// the zone bogus, and a CA will too.
func (r *Resolver) explain(ctx context.Context, server string, err error) {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Rcode != "SERVFAIL" {
		return
	}
	q := question(p.Name, dns.StringToType[p.Type], true)
	q.CheckingDisabled = true
	_, again := r.ask(ctx, plain, server, q)
	p.Bogus = again == nil || errors.Is(again, ErrNotExist)
}

// ask puts one question to one server. The answer comes back with its error
// too, when there was one, for what it still tells.
func (r *Resolver) ask(ctx context.Context, dial Dialer, server string, q *dns.Msg) (*dns.Msg, error) {
	p := newProblem(server, q.Question[0])
	in, err := r.exchange(ctx, dial, server, q)
	if err == nil && in.Rcode == dns.RcodeFormatError && q.IsEdns0() != nil {
		bare := q.Copy() // a server from before EDNS (RFC 6891 section 7)
		bare.Extra = nil
		in, err = r.exchange(ctx, dial, server, bare)
	}
	if err != nil {
		p.Err = err
		return nil, p
	}
	if in.Rcode != dns.RcodeSuccess {
		p.Rcode = rcodeText(in.Rcode)
		return in, p
	}
	return in, nil
}

// exchange tries UDP, and TCP when the answer was cut (RFC 7766) or none came.
func (r *Resolver) exchange(ctx context.Context, dial Dialer, server string, q *dns.Msg) (*dns.Msg, error) {
	in, err := Exchange(ctx, dial, "udp", server, q, r.timeout(), nil)
	if err == nil && !in.Truncated {
		return in, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	full, tcpErr := Exchange(ctx, dial, "tcp", server, q, r.timeout(), nil)
	if tcpErr != nil && err != nil {
		return nil, err
	}
	return full, tcpErr
}

// Exchange sends one message over one fresh connection and reads its answer
// within timeout. Tsig, where given, signs and checks (RFC 8945).
func Exchange(ctx context.Context, dial Dialer, network, server string, q *dns.Msg, timeout time.Duration, tsig dns.TsigProvider) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if dial == nil {
		dial = plain
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, silence(ctx, err, timeout)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := dns.Client{Net: network, Timeout: timeout, TsigProvider: tsig, UDPSize: udpSize}
	in, _, err := c.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn})
	if err != nil {
		return in, silence(ctx, err, timeout)
	}
	if q.Opcode == dns.OpcodeQuery && !answers(in, q) {
		return nil, errors.New("the answer is to another question")
	}
	return in, nil
}

func answers(in, q *dns.Msg) bool {
	if len(in.Question) == 0 { // some servers leave it out of an error
		return in.Rcode != dns.RcodeSuccess
	}
	return strings.EqualFold(in.Question[0].Name, q.Question[0].Name) && in.Question[0].Qtype == q.Question[0].Qtype
}

// silence says "no answer within 3s" instead of the socket's words for it.
func silence(ctx context.Context, err error, timeout time.Duration) error {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || ctx.Err() != nil {
		return errors.New("no answer within " + timeout.String())
	}
	return err
}

func plain(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
