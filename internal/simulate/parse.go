package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/plan"
)

func wrong(advice, format string, args ...any) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}

// ParseMix reads a fleet by name (see Mixes), or profiles with weights such as
// classic:50,shortlived:10.
func ParseMix(s string) ([]Share, error) {
	if m, ok := Mixes[s]; ok {
		return m, nil
	}
	var out []Share
	for part := range strings.SplitSeq(s, ",") {
		profile, weight, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(weight)
		if err != nil || n <= 0 || lifeOf(profile, Begin) == 0 {
			return nil, wrong("say mix, all, classic, tlsserver or shortlived, or weights such as classic:50,shortlived:10", "%q is no mix of profiles", s)
		}
		out = append(out, Share{profile, n})
	}
	return out, nil
}

// ParseOutage reads a length and the day on which it begins, such as 3d@200.
func ParseOutage(s string) (Outage, error) {
	length, on, ok := strings.Cut(s, "@")
	d, err := ParseSpan(length)
	n, err2 := strconv.Atoi(on)
	if !ok || err != nil || err2 != nil || d <= 0 || n < 0 {
		return Outage{}, wrong("write LENGTH@DAY, such as 3d@200", "%q is no outage", s)
	}
	return Outage{n, d}, nil
}

// ParseRevocation reads a share and the day on which it is revoked, such as 30%@400.
func ParseRevocation(s string) (Revocation, error) {
	share, on, ok := strings.Cut(s, "%@")
	f, err := strconv.ParseFloat(share, 64)
	n, err2 := strconv.Atoi(on)
	if !ok || err != nil || err2 != nil || !(f > 0 && f <= 100) || n < 0 {
		return Revocation{}, wrong("write SHARE%@DAY, such as 30%@400", "%q is no mass revocation", s)
	}
	return Revocation{n, f / 100}, nil
}

// ParseOverride reads a limit that a CA granted, such as new-orders=3000/3h.
func ParseOverride(s string) (plan.Limit, error) {
	name, rest, ok := strings.Cut(s, "=")
	count, period, ok2 := strings.Cut(rest, "/")
	n, err := strconv.Atoi(count)
	d, err2 := ParseSpan(period)
	if !ok || !ok2 || err != nil || err2 != nil || n <= 0 || d <= 0 {
		return plan.Limit{}, wrong("write LIMIT=COUNT/PERIOD, such as new-orders=3000/3h", "%q is no limit", s)
	}
	if !slices.Contains(plan.Granted, plan.LimitName(name)) {
		return plan.Limit{}, wrong("use one of "+grantedWords(), "%q is no limit that an override can be of", name)
	}
	return plan.Limit{Name: plan.LimitName(name), Count: n, Period: d}, nil
}

func grantedWords() string {
	var words []string
	for _, l := range plan.Granted {
		words = append(words, string(l))
	}
	return strings.Join(words, ", ")
}

// Unlimited is what the limits of a CA without any are called.
const Unlimited = "none"

// longest is how many days a simulation may have: nobody has announced lifetimes
// beyond.
const longest = 3650

// Check refuses what could not be simulated, or would be left out without a word.
func (o *Options) Check() error {
	if o.Fleet <= 0 || o.New < 0 || o.New > o.Fleet {
		return wrong("give --fleet above zero and --new from 0 to that", "a fleet of %d, %d of them new, is none", o.Fleet, o.New)
	}
	if o.Days <= 0 || o.Days > longest {
		return wrong(fmt.Sprintf("give --days from 1 to %d", longest), "%d days cannot be simulated", o.Days)
	}
	if !(o.BadNonces >= 0 && o.BadNonces <= 0.2) {
		return wrong("give --bad-nonces from 0 to 0.2", "%g is no share of nonces that clients bear", o.BadNonces)
	}
	if o.IPs < 1 || o.IPs > mostIPs {
		return wrong(fmt.Sprintf("give --ips from 1 to %d", mostIPs), "requests cannot leave from %d addresses", o.IPs)
	}
	if o.Limits != Unlimited && len(plan.Published(o.Limits)) == 0 {
		return wrong("use letsencrypt, letsencrypt-staging or none, and --override for single limits", "nobody called %q publishes limits", o.Limits)
	}
	for _, x := range o.Outages {
		if x.Day >= o.Days {
			return tooLate("outage", x.Day, o.Days)
		}
	}
	for _, x := range o.Revokes {
		if x.Day >= o.Days {
			return tooLate("mass revocation", x.Day, o.Days)
		}
	}
	return nil
}

// mostIPs is how many addresses the network has from which requests leave.
const mostIPs = 254

func tooLate(what string, on, days int) error {
	return wrong("give more --days, or an earlier day", "the %s on day %d comes after the %d days", what, on, days)
}

// ParseSpan reads a length of time that may be in days, such as 3d or 36h.
func ParseSpan(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		return time.Duration(n * float64(day)), err
	}
	return time.ParseDuration(s)
}
