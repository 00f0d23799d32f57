package preflight

// Class sorts failures by what has to be done about them.
type Class string

// The classes of failure.
const (
	Gone        Class = "gone"         // the name is not in DNS, or has no address
	Elsewhere   Class = "elsewhere"    // it points to somebody else
	Forbidden   Class = "caa"          // its owner lets another CA issue
	DNSSEC      Class = "dnssec"       // its signatures do not hold
	DNS         Class = "dns"          // its name servers do not answer
	PortClosed  Class = "port_closed"  // nobody answers at its address
	WrongAnswer Class = "wrong_answer" // somebody answers, but not with our challenge
	Limit       Class = "limit"        // the CA says later
	CADown      Class = "ca_down"      // the CA has trouble of its own
	Account     Class = "account"      // the CA does not take us as we are
	Ours        Class = "ours"         // what we asked for cannot be had
)

// Classes are all of them.
var Classes = []Class{Gone, Elsewhere, Forbidden, DNSSEC, DNS, PortClosed, WrongAnswer, Limit, CADown, Account, Ours}

// Left reports whether the class says that a name has left us: no retry helps
// until its owner changes DNS.
func (c Class) Left() bool { return c == Gone || c == Elsewhere }

// Reachability reports whether the class is about finding the name and the
// answer to its challenge, which a look from here can explain.
func (c Class) Reachability() bool {
	switch c {
	case Gone, Elsewhere, DNSSEC, DNS, PortClosed, WrongAnswer:
		return true
	}
	return false
}

// advices are one sentence for each class; what was seen may say it better.
var advices = map[Class]string{
	Gone:        "point the name here in DNS, or remove it from the certificate",
	Elsewhere:   "point the name here again, or remove it from the certificate",
	Forbidden:   "allow the CA in the domain's CAA record, or choose an authority that it allows",
	DNSSEC:      "repair the zone's DNSSEC: the DS record at the registrar must fit the zone's keys, and signatures must be current",
	DNS:         "repair the domain's name servers: each must answer, and a CA takes silence for a no",
	PortClosed:  "open port 80 to the internet, or choose dns-01",
	WrongAnswer: "send /.well-known/acme-challenge/ of this name to certfleet's challenge port",
	Limit:       "wait: the limit frees by itself; ask the CA for an override if it comes often",
	CADown:      "wait: the CA has trouble of its own",
	Account:     "look at the account at this authority: certfleet accounts shows it",
	Ours:        "correct the certificate or its policy, or choose another authority",
}

// Advice is what to do about a failure of the class when nothing more is known.
func (c Class) Advice() string { return advices[c] }
