package solvertest

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

func (d *DNS) answer(w dns.ResponseWriter, q *dns.Msg, network, addr string) {
	m := new(dns.Msg).SetReply(q)
	if q.Opcode == dns.OpcodeUpdate {
		m.Rcode = d.update(w, q)
		if tsig := q.IsTsig(); tsig != nil && w.TsigStatus() == nil && !d.marked(Unsigned) {
			m.SetTsig(tsig.Hdr.Name, tsig.Algorithm, 300, int64(tsig.TimeSigned))
		}
		w.WriteMsg(m)
		return
	}
	ask := q.Question[0]
	name := strings.ToLower(ask.Name)
	if !d.misbehave(m, q, network, addr, name) {
		return
	}
	if m.Rcode == dns.RcodeSuccess && !m.Truncated {
		d.fill(m, name, ask.Qtype, q.RecursionDesired)
	}
	w.WriteMsg(m)
}

// marked reports whether every address was told to misbehave so always.
func (d *DNS) marked(how int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults[fault{}] == how
}

// misbehave does what Fail asked for and reports whether to answer at all.
func (d *DNS) misbehave(m, q *dns.Msg, network, addr, name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked[name] == nil {
		d.asked[name] = map[string]uint8{}
	}
	d.asked[name][network+" "+addr]++
	m.Authoritative = !q.RecursionDesired
	for _, f := range []fault{{addr, name}, {addr, ""}, {"", name}, {"", ""}} {
		how, ok := d.faults[f]
		if !ok {
			continue
		}
		switch how {
		case Silent:
			return false
		case Hide:
			m.Rcode = dns.RcodeNameError
		case Truncate:
			m.Truncated = network == "udp"
		case Unsigned: // says nothing about questions
		case Lame:
			m.Authoritative = false
		case NoEDNS:
			if q.IsEdns0() != nil {
				m.Rcode = dns.RcodeFormatError
			}
		case Bogus:
			if !q.CheckingDisabled {
				m.Rcode = dns.RcodeServerFailure
			}
		default:
			m.Rcode = how
		}
		return true
	}
	return true
}

// fill answers as an authoritative server does, and follows CNAMEs when asked
// to recurse.
func (d *DNS) fill(m *dns.Msg, name string, qtype uint16, recurse bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range 12 {
		here := d.at(name)
		if len(here) == 0 {
			if !d.exists(name) {
				m.Rcode = dns.RcodeNameError
			}
			break
		}
		matched := slices.DeleteFunc(slices.Clone(here), func(rr dns.RR) bool { return rr.Header().Rrtype != qtype })
		m.Answer = append(m.Answer, matched...)
		alias, ok := here[0].(*dns.CNAME)
		if !ok || qtype == dns.TypeCNAME {
			break
		}
		m.Answer = append(m.Answer, alias)
		if !recurse {
			break
		}
		name = strings.ToLower(alias.Target)
	}
	if len(m.Answer) == 0 {
		m.Ns = d.soaAbove(name)
	}
}

func (d *DNS) at(name string) []dns.RR {
	var out []dns.RR
	for _, rr := range d.records {
		if strings.EqualFold(rr.Header().Name, name) {
			out = append(out, rr)
		}
	}
	return out
}

// exists reports whether anything lies at or below name (RFC 8020).
func (d *DNS) exists(name string) bool {
	return slices.ContainsFunc(d.records, func(rr dns.RR) bool { return dns.IsSubDomain(name, rr.Header().Name) })
}

func (d *DNS) soaAbove(name string) []dns.RR {
	var best dns.RR
	for _, rr := range d.records {
		deeper := best == nil || len(rr.Header().Name) > len(best.Header().Name)
		if rr.Header().Rrtype == dns.TypeSOA && dns.IsSubDomain(rr.Header().Name, name) && deeper {
			best = rr
		}
	}
	if best == nil {
		return nil
	}
	return []dns.RR{best}
}

// update does RFC 2136 section 3 for adding and deleting single records, in
// the zones that are here and with the known key alone.
func (d *DNS) update(w dns.ResponseWriter, q *dns.Msg) int {
	if q.IsTsig() == nil {
		return dns.RcodeRefused
	}
	if w.TsigStatus() != nil {
		return dns.RcodeNotAuth
	}
	zone := q.Question[0].Name
	if !slices.Contains(d.zones, strings.ToLower(zone)) {
		return dns.RcodeNotAuth
	}
	for _, rr := range q.Ns {
		if !dns.IsSubDomain(zone, rr.Header().Name) {
			return dns.RcodeNotZone
		}
	}
	for _, rr := range q.Ns {
		d.change(rr)
	}
	return dns.RcodeSuccess
}

func (d *DNS) change(rr dns.RR) {
	switch rr.Header().Class {
	case dns.ClassINET:
		d.insert(rr)
	case dns.ClassNONE: // this one record
		gone := dns.Copy(rr)
		gone.Header().Class = dns.ClassINET
		d.remove(func(old dns.RR) bool { return dns.IsDuplicate(old, gone) })
	case dns.ClassANY: // all of the type
		h := rr.Header()
		d.remove(func(old dns.RR) bool {
			return strings.EqualFold(old.Header().Name, h.Name) && old.Header().Rrtype == h.Rrtype
		})
	}
}

func (d *DNS) remove(which func(dns.RR) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records = slices.DeleteFunc(d.records, which)
}
