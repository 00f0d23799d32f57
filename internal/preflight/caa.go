package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dnsq"
)

// knownTags are the CAA properties that a CA of the web understands; a critical
// one beside them forbids everything (RFC 8659 section 4.1).
var knownTags = []string{"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"}

// caa asks who may issue, once for all authorities.
func (l *look) caa(ctx context.Context) {
	set, err := l.DNS.CAA(ctx, l.Name.Base())
	if err != nil {
		l.add(unanswered(err, "whether a CA may issue cannot be found out"))
		return
	}
	for _, ca := range l.Authorities {
		if f, ok := judgeCAA(set, l.Name, l.Challenge, ca); !ok {
			l.add(f)
		}
	}
}

// judgeCAA says whether the set lets ca issue for name with a challenge of the
// type, and if not, why not.
func judgeCAA(set dnsq.CAASet, name certfleet.Name, typ certfleet.ChallengeType, ca CA) (Finding, bool) {
	if len(set.Records) == 0 || len(ca.Identities) == 0 {
		return Finding{}, true
	}
	at := strings.TrimSuffix(set.At, ".")
	f := Finding{Class: Forbidden, Authority: ca.Label, Certain: true}
	if tag := criticalUnknown(set); tag != "" {
		f.Seen = fmt.Sprintf("the CAA records of %s have a critical property %.40q that CAs do not know", at, tag)
		f.Advice = "remove that property, or its critical flag"
		return f, false
	}
	tag, values := governing(set, name.IsWildcard())
	if len(values) == 0 {
		return f, true
	}
	var why []string
	for _, v := range values {
		domain, params, ok := parseIssue(v)
		if !ok || !slices.Contains(ca.identities(), domain) {
			continue
		}
		reason, sure := pinned(params, typ, ca)
		if reason == "" {
			return f, true
		}
		why, f.Certain = append(why, reason), f.Certain && sure
	}
	f.Seen, f.Advice = explainCAA(at, tag, values, why, ca)
	return f, false
}

func (ca CA) identities() []string {
	var out []string
	for _, id := range ca.Identities {
		out = append(out, canonical(id))
	}
	return out
}

func canonical(domain string) string { return strings.ToLower(strings.TrimSuffix(domain, ".")) }

func criticalUnknown(set dnsq.CAASet) string {
	for _, r := range set.Records {
		if r.Critical && !slices.Contains(knownTags, strings.ToLower(r.Tag)) {
			return r.Tag
		}
	}
	return ""
}

// governing are the values that count for the name: issuewild alone for a
// wildcard where there is any, else issue (RFC 8659 section 4.3).
func governing(set dnsq.CAASet, wild bool) (tag string, values []string) {
	if wild {
		if values = valuesOf(set, "issuewild"); len(values) > 0 {
			return "issuewild", values
		}
	}
	return "issue", valuesOf(set, "issue")
}

func valuesOf(set dnsq.CAASet, tag string) []string {
	var out []string
	for _, r := range set.Records {
		if strings.EqualFold(r.Tag, tag) {
			out = append(out, r.Value)
		}
	}
	return out
}

// param is one parameter of an issue property.
type param struct{ tag, value string }

// parseIssue reads an issue or issuewild value (RFC 8659 section 4.2); one that
// is not well formed lets nobody issue.
func parseIssue(s string) (domain string, params []param, ok bool) {
	domain, rest, _ := strings.Cut(s, ";")
	domain = canonical(strings.TrimSpace(domain))
	if strings.ContainsAny(domain, " \t=") {
		return "", nil, false
	}
	for part := range strings.SplitSeq(rest, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		tag, value, found := strings.Cut(part, "=")
		tag, value = strings.TrimSpace(tag), strings.TrimSpace(value)
		if !found || tag == "" || strings.ContainsAny(tag+value, " \t") {
			return "", nil, false
		}
		params = append(params, param{strings.ToLower(tag), value})
	}
	return domain, params, true
}

// pinned says why the parameters of a property that names the CA still keep us
// out, or nothing (RFC 8657). Sure is false while our account has no URL yet.
func pinned(params []param, typ certfleet.ChallengeType, ca CA) (reason string, sure bool) {
	var accounts, methods []string
	for _, p := range params {
		switch p.tag {
		case "accounturi":
			accounts = append(accounts, p.value)
		case "validationmethods":
			methods = append(methods, strings.Split(p.value, ",")...)
		}
	}
	switch {
	case len(accounts) > 1:
		return "names several accounts, which lets none issue", true
	case len(accounts) == 1 && ca.AccountURL == "":
		return "lets one account issue, and ours has no URL yet", false
	case len(accounts) == 1 && accounts[0] != ca.AccountURL:
		return fmt.Sprintf("lets another account issue, %.120q", accounts[0]), true
	case len(methods) > 0 && !slices.Contains(methods, string(typ)):
		return fmt.Sprintf("allows the challenge types %.80q, not %s", strings.Join(methods, ","), typ), true
	}
	return "", true
}

func explainCAA(at, tag string, values, why []string, ca CA) (seen, advice string) {
	record := fmt.Sprintf("%s CAA 0 %s %q", at, tag, ca.Identities[0])
	if len(why) > 0 {
		seen = fmt.Sprintf("the CAA record of %s names %s but %s", at, ca.Identities[0], strings.Join(why, "; it also "))
		if ca.AccountURL != "" {
			record = fmt.Sprintf(`%s CAA 0 %s "%s; accounturi=%s"`, at, tag, ca.Identities[0], ca.AccountURL)
		}
		return seen, "add the record " + record + ", or take the pin away"
	}
	return fmt.Sprintf("the CAA records of %s (%s) do not let %s issue", at, listed(tag, values), ca.Identities[0]), "add the record " + record + ", or choose an authority that it allows"
}

func listed(tag string, values []string) string {
	var out []string
	for _, v := range values[:min(len(values), 5)] {
		out = append(out, fmt.Sprintf("%s %.60q", tag, v))
	}
	return strings.Join(out, ", ")
}
