package fakeca

import "time"

const day = 24 * time.Hour

// Profile is a kind of certificate that can be ordered by name.
type Profile struct {
	Name        string
	Description string
	Terms       []Term // by date, the earliest first
	MaxNames    int
	CommonName  bool          // the first name that fits becomes the common name
	IP          bool          // IP addresses are allowed
	Pending     time.Duration // life of a pending authorization
	Order       time.Duration // life of an order
}

// Term is what holds from a date on. The first term holds before its date too.
type Term struct {
	From  time.Time
	Life  time.Duration // of a certificate
	Reuse time.Duration // of a valid authorization
}

// At is the term in force.
func (p *Profile) At(now time.Time) Term { return p.at(now) }

// at is the term in force.
func (p *Profile) at(now time.Time) Term {
	t := p.Terms[0]
	for _, next := range p.Terms[1:] {
		if now.Before(next.From) {
			break
		}
		t = next
	}
	return t
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// LetsEncryptProfiles are Let's Encrypt's, with the lifetimes it has announced
// ("From 90 to 45", 2025-12-02, and its page on profiles of 2026-07-14).
func LetsEncryptProfiles() []Profile {
	return []Profile{
		{
			Name: "classic", Description: "The profile for anyone who asks for none", MaxNames: 100, CommonName: true,
			Pending: 7 * day, Order: 7 * day,
			Terms: []Term{
				{Life: 90 * day, Reuse: 30 * day},
				{From: date(2027, 2, 10), Life: 64 * day, Reuse: 10 * day},
				{From: date(2028, 2, 16), Life: 45 * day, Reuse: 7 * time.Hour},
			},
		},
		{
			Name: "tlsserver", Description: "For TLS servers alone", MaxNames: 25, Pending: time.Hour, Order: 8 * time.Hour,
			Terms: []Term{{Life: 90 * day, Reuse: 7 * time.Hour}, {From: date(2026, 5, 13), Life: 45 * day, Reuse: 7 * time.Hour}},
		},
		{
			Name: "shortlived", Description: "For six days", MaxNames: 25, IP: true, Pending: time.Hour, Order: 8 * time.Hour,
			Terms: []Term{{Life: 160 * time.Hour, Reuse: 7 * time.Hour}},
		},
	}
}

// profile finds the one that an order names; empty is the default.
func (ca *CA) profile(name string, now time.Time) (int, *Problem) {
	if name == "" {
		return 0, nil
	}
	for i := range ca.o.Profiles {
		if ca.o.Profiles[i].Name == name && !ca.vanished(name, now) {
			return i, nil
		}
	}
	return 0, problem(400, "invalidProfile", "profile name %q not recognized", name)
}
