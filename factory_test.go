package certfleet

import (
	"fmt"
	"strings"
	"testing"
)

func TestAFactoryExpandsItsTemplates(t *testing.T) {
	both := []string{"{DOMAIN}", "www.{DOMAIN}"}
	for _, c := range []struct {
		name   string
		spec   FactorySpec
		domain string
		label  string
		want   string
	}{
		{"http-01 alone", FactorySpec{HTTP01: both}, "Shop.Example.com", "com.example.shop", "shop.example.com http-01; www.shop.example.com http-01"},
		{"dns-01 with a star", FactorySpec{DNS01: []string{"{DOMAIN}", "*.{DOMAIN}"}}, "shop.example.com", "com.example.shop", "shop.example.com dns-01; *.shop.example.com dns-01"},
		{"each its own", FactorySpec{HTTP01: []string{"{DOMAIN}"}, DNS01: []string{"*.{DOMAIN}"}}, "a.example", "example.a", "a.example http-01; *.a.example dns-01"},
		{"labels reversed", FactorySpec{HTTP01: []string{"{NIAMOD}.hosted.example"}}, "shop.example.com", "com.example.shop", "com.example.shop.hosted.example http-01"},
		{"a label of its own", FactorySpec{HTTP01: both[:1], LabelTemplate: "acme-{DOMAIN}"}, "a.example", "acme-a.example", "a.example http-01"},
		{"both, http first", FactorySpec{HTTP01: both, DNS01: both[:1], Duplicates: HTTP01ThenDNS}, "a.example", "example.a", "a.example http-01 then dns-01; www.a.example http-01"},
		{"both, dns first", FactorySpec{HTTP01: both, DNS01: both, Duplicates: DNS01ThenHTTP}, "a.example", "example.a", "a.example dns-01 then http-01; www.a.example dns-01 then http-01"},
		{"a strategy without duplicates", FactorySpec{HTTP01: both[:1], DNS01: []string{"*.{DOMAIN}"}, Duplicates: DNS01ThenHTTP}, "a.example", "example.a", "a.example http-01; *.a.example dns-01"},
		{"other scripts", FactorySpec{HTTP01: both[:1]}, "bücher.example", "example.xn--bcher-kva", "xn--bcher-kva.example http-01"},
	} {
		e, err := c.spec.Expand(c.domain)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var said []string
		for _, p := range e.Proofs {
			s := fmt.Sprint(p.Name, " ", p.First)
			if p.Second != "" {
				s += " then " + string(p.Second)
			}
			said = append(said, s)
		}
		if got := strings.Join(said, "; "); got != c.want || e.Label != c.label || len(e.Names()) != len(e.Proofs) {
			t.Errorf("%s: %s as %q, want %s as %q", c.name, got, e.Label, c.want, c.label)
		}
	}
}

func TestAFactoryRefusesWithAdvice(t *testing.T) {
	one := []string{"{DOMAIN}"}
	for _, c := range []struct {
		spec   FactorySpec
		domain string
		word   string
	}{
		{FactorySpec{HTTP01: one, DNS01: one}, "a.example", "listed for http-01 and for dns-01"},
		{FactorySpec{HTTP01: one, DNS01: one, Duplicates: NoDuplicates}, "a.example", "listed for http-01 and for dns-01"},
		{FactorySpec{HTTP01: []string{"*.{DOMAIN}"}}, "a.example", "cannot be proved by http-01"},
		{FactorySpec{HTTP01: one}, "*.a.example", "no domain"},
		{FactorySpec{HTTP01: one}, "192.0.2.7", "no domain"},
		{FactorySpec{HTTP01: []string{"{DOMAIN}", "{DOMAIN}."}}, "a.example", "twice"},
		{FactorySpec{HTTP01: []string{"{CUSTOMER}.{DOMAIN}"}}, "a.example", "character"},
	} {
		_, err := c.spec.Expand(c.domain)
		if KindOf(err) != Invalid || !strings.Contains(err.Error(), c.word) || AdviceOf(err) == "" {
			t.Errorf("%+v of %s: %v (advice %q); want a refusal that says %q", c.spec, c.domain, err, AdviceOf(err), c.word)
		}
	}
	for _, s := range []FactorySpec{{}, {HTTP01: []string{"www.shop.example"}}, {HTTP01: one, LabelTemplate: "shop"}, {HTTP01: one, DNS01: one}} {
		if err := s.Check(); KindOf(err) != Invalid || AdviceOf(err) == "" {
			t.Errorf("%+v: %v; want a refusal with advice", s, err)
		}
	}
}

func TestTemplatesAreReadAsPeopleWriteThem(t *testing.T) {
	if got := ParseTemplates(" {DOMAIN}, www.{DOMAIN}\n\nm.{DOMAIN} "); strings.Join(got, "|") != "{DOMAIN}|www.{DOMAIN}|m.{DOMAIN}" {
		t.Errorf("got %q", got)
	}
}
