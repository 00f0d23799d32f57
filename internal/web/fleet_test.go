package web

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/store"
)

const declared = `{
	"authorities":[{"label":"test-ca","directory_url":"https://ca.test/dir"}],
	"accounts":[{"authority":"test-ca","contact":["tls@example.com"],"agree":true,"eab_key_id":"k","eab_hmac_key":"c2VjcmV0LWhtYWMta2V5LW9mLXRoZS1iaW5kaW5n"}],
	"policies":[{"label":"default","authorities":["test-ca"],"key_type":"p384","validity":"7d"}],
	"targets":[{"label":"edge","type":"files","spec":{"dir":"/srv/tls"},"probe":["192.0.2.7:443"]}],
	"certificates":[{"names":["a.example.com"],"targets":["edge"]},{"label":"b","names":["b.example.com"],"state":"paused"}]}`

func TestApplyIsIdempotentAndADryRunChangesNothing(t *testing.T) {
	k := newKit(t)
	var dry, first, second api.Applied
	k.ok("POST", "/v1/apply?dry_run=true", declared).into(t, &dry)
	if len(dry.Changes) != 6 || !dry.DryRun {
		t.Errorf("dry run: %+v", dry)
	}
	if body := k.ok("GET", "/v1/authorities", "").body; body != `{"items":[]}`+"\n" {
		t.Errorf("the dry run left %s", body)
	}
	k.ok("POST", "/v1/apply", declared).into(t, &first)
	k.ok("POST", "/v1/apply", declared).into(t, &second)
	if len(first.Changes) != 6 || len(second.Changes) != 0 || second.Same != 6 {
		t.Errorf("first %+v, second %+v", first, second)
	}
	if body := k.ok("GET", "/v1/certificates/b", "").body; !strings.Contains(body, `"state":"paused"`) {
		t.Errorf("certificate b: %s", body)
	}
}

func TestApplyLeavesWhatIsLeftOutAndClearsWhatIsEmpty(t *testing.T) {
	k := newKit(t)
	k.ok("POST", "/v1/apply", `{
		"authorities":[{"label":"ca","directory_url":"https://ca.test/dir","note":"ours","eab":true,"labels":{"x":"y"}}],
		"accounts":[{"authority":"ca","contact":["tls@example.com"],"eab_key_id":"k","eab_hmac_key":"c2VjcmV0LWhtYWMta2V5LW9mLXRoZS1iaW5kaW5n","labels":{"x":"y"}}],
		"policies":[{"label":"default","authorities":["ca"],"key_type":"p384","validity":"7d"}],
		"targets":[{"label":"edge","type":"files","spec":{"dir":"/srv/tls"},"probe":["192.0.2.7:443"],"proof":"sample"}],
		"certificates":[{"names":["a.example.com"],"targets":["edge"],"labels":{"x":"y"}}]}`)
	for _, c := range []struct{ declared, want string }{
		{`{"authorities":[{"label":"ca","directory_url":"https://ca.test/dir"}],"accounts":[{"authority":"ca"}],
			"policies":[{"label":"default"}],"targets":[{"label":"edge","type":"files"}],"certificates":[{"names":["a.example.com"]}]}`, ``},
		{`{"policies":[{"label":"default","validity":""}]}`, `policy default validity: 168h0m0s -> `},
		{`{"authorities":[{"label":"ca","directory_url":"https://ca.test/dir","note":"","labels":{}}]}`, `authority ca labels: {"x":"y"} -> ; note: ours -> `},
		{`{"authorities":[{"label":"ca","directory_url":"https://ca.test/other"}]}`, `authority ca directory_url: https://ca.test/dir -> https://ca.test/other`},
		{`{"targets":[{"label":"edge","type":"files","probe":[]}]}`, `target edge probe: ["192.0.2.7:443"] -> `},
		{`{"certificates":[{"names":["a.example.com"],"targets":[]}]}`, `certificate a.example.com targets: edge -> `},
		{`{"certificates":[{"names":["a.example.com"],"labels":{"x":"z"}}]}`, `certificate a.example.com labels: x=y -> x=z`},
		{`{"accounts":[{"authority":"ca","eab_key_id":"k","eab_hmac_key":"c2VjcmV0LWhtYWMta2V5LW9mLXRoZS1iaW5kaW5n","labels":{},"contact":[]}]}`, `account ca contact: mailto:tls@example.com -> ; labels: x=y -> `},
	} {
		var got api.Applied
		k.ok("POST", "/v1/apply?dry_run=true", c.declared).into(t, &got)
		var said []string
		for _, ch := range got.Changes {
			var fields []string
			for _, f := range ch.Fields {
				fields = append(fields, f.Field+": "+f.From+" -> "+f.To)
			}
			said = append(said, ch.Kind+" "+ch.Label+" "+strings.Join(fields, "; "))
		}
		if s := strings.Join(said, " | "); s != c.want {
			t.Errorf("%s\n\twould change %s\n\twant %s", c.declared, s, c.want)
		}
	}
}

func TestApplyTellsWhatDiffers(t *testing.T) {
	k := newKit(t)
	k.ok("POST", "/v1/apply", declared)
	other := strings.NewReplacer(`"p384"`, `"rsa2048"`, `"a.example.com"`, `"a.example.com","c.example.com"`, `"state":"paused"`, `"state":"removed"`, "tls@", "other@").Replace(declared)
	var got api.Applied
	k.ok("POST", "/v1/apply", other).into(t, &got)
	var said []string
	for _, c := range got.Changes {
		said = append(said, c.Action+" "+c.Kind+" "+c.Label)
		for _, f := range c.Fields {
			said = append(said, f.Field+": "+f.From+" -> "+f.To)
		}
	}
	want := "update account test-ca|contact: mailto:tls@example.com -> mailto:other@example.com|update policy default|key_type: p384 -> rsa2048|" +
		"update certificate a.example.com|names: a.example.com -> a.example.com, c.example.com|remove certificate b"
	if strings.Join(said, "|") != want {
		t.Errorf("said %s\nwant %s", strings.Join(said, "|"), want)
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	k := newKit(t)
	r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/apply", strings.Replace(declared, "b.example.com", "b_.example.com", 1))
	if p := r.problem(t); r.status != 422 || !strings.Contains(p.Detail, `certificate "b"`) || p.Advice == "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if body := k.ok("GET", "/v1/authorities", "").body; body != `{"items":[]}`+"\n" {
		t.Errorf("half of it is left: %s", body)
	}
}

func TestAChangeLeavesWhatIsAbsent(t *testing.T) {
	k := newKit(t)
	k.ok("POST", "/v1/apply", declared)
	for path, c := range map[string]struct{ change, keeps, has string }{
		"/v1/policies/default":           {`{"profile":"shortlived","labels":{"a":"b"}}`, `"key_type":"p384"`, `"profile":"shortlived"`},
		"/v1/targets/edge":               {`{"paused":true}`, `"dir":"/srv/tls"`, `"paused":true`},
		"/v1/authorities/test-ca":        {`{"note":"ours"}`, `"directory_url":"https://ca.test/dir"`, `"note":"ours"`},
		"/v1/domains/a.example.com":      {`{"challenge":"tls-alpn-01"}`, `"registered":"example.com"`, `"challenge":"tls-alpn-01"`},
		"/v1/certificates/a.example.com": {`{"labels":{"tenant":"acme"}}`, `"targets":["edge"]`, `"labels":{"tenant":"acme"}`},
	} {
		r := k.ok("PATCH", path, c.change)
		again := k.ok("GET", path, "")
		for _, want := range []string{c.keeps, c.has} {
			if !strings.Contains(again.body, want) {
				t.Errorf("%s lacks %s: %s then %s", path, want, r.body, again.body)
			}
		}
	}
}

func TestAResumedTargetGetsWhatWaitedAtOnce(t *testing.T) {
	k := newKit(t)
	k.ok("POST", "/v1/apply", declared)
	var at time.Time
	k.ok("PATCH", "/v1/targets/edge", `{"paused":true}`)
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		c, err := tx.CertificateByLabel(t.Context(), 0, "a.example.com")
		if err != nil {
			return err
		}
		v := &certfleet.Version{CertificateID: c.ID, Tenant: c.Tenant, Fingerprint: "f", Serial: "1", NotAfter: time.Now().Add(time.Hour)}
		if err := tx.AddVersion(t.Context(), v, nil); err != nil {
			return err
		}
		g, err := tx.TargetByLabel(t.Context(), 0, "edge")
		if err != nil {
			return err
		}
		at = time.Now().Add(time.Hour)
		return errors.Join(tx.WantDeliveries(t.Context(), v), tx.PutOff(t.Context(), g.ID, at, "paused", "", 10))
	}))
	k.ok("PATCH", "/v1/targets/edge", `{"paused":false}`)
	list, err := k.db.DueDeliveries(t.Context(), time.Now(), 10)
	if err != nil || len(list) != 1 || list[0].Problem != "" {
		t.Errorf("due are %v, %v", list, err)
	}
}

func TestProbeSaysWhyNothingWasSeen(t *testing.T) {
	k, nobody := newKit(t), fmt.Sprintf("127.0.0.1:%d", porttest.Port(t))
	var got api.Looks
	k.ok("POST", "/v1/probe", `{"names":["a.example.com"],"addresses":["`+nobody+`"]}`).into(t, &got)
	if len(got.Looks) != 1 || !strings.Contains(got.Looks[0].Problem, "refuses connections") || got.Looks[0].Advice == "" {
		t.Errorf("%+v", got)
	}
}
