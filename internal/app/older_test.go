package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/trial"
)

// scripts is what scripts of the older system see, as who may do everything.
type scripts struct {
	t    *testing.T
	http *http.Client
}

// post sends a form and reads the answer; ok says what result it must have.
func (s *scripts) post(result, path, form string) map[string]any {
	s.t.Helper()
	out := s.send("POST", path, form)
	if out["result"] != result {
		s.t.Fatalf("%s: %v", path, out)
	}
	return out
}

func (s *scripts) send(method, path, form string) (out map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://offline"+config.DefaultEdgePrefix+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(b, &out) != nil {
		s.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, b, err)
	}
	return out
}

func field(o map[string]any, path string) any {
	var at any = o
	for _, p := range strings.Split(path, ".") {
		m, _ := at.(map[string]any)
		at = m[p]
	}
	return at
}

func older(t *testing.T) *scripts {
	t.Helper()
	f := start(t, pebble.Options{})
	f.run(t)
	return &scripts{t: t, http: &http.Client{Transport: f.Offline("user:scripts"), Timeout: time.Minute}}
}

func TestScriptsMakeAnAccountAndGiveItUp(t *testing.T) {
	t.Parallel()
	s := older(t)
	form := "acme_server_id=1&account__name=scripts&account__contact=tls@certfleet.test"
	made := s.post("success", "/acme-account/new.json", form)
	if made["is_created"] != true || field(made, "AcmeAccount.account_url") == nil || field(made, "AcmeAccount.contact") != "tls@certfleet.test" {
		t.Fatalf("made: %v", made)
	}
	if again := s.post("success", "/acme-account/new.json", form); again["is_existing"] != true || field(again, "AcmeAccount.id") != field(made, "AcmeAccount.id") {
		t.Errorf("made again: %v", again)
	}
	at, key := fmt.Sprintf("/acme-account/%v/acme-server/", field(made, "AcmeAccount.id")), field(made, "AcmeAccount.AcmeAccountKey.key_pem_md5")
	if got := s.post("success", at+"authenticate.json", ""); got["is_authenticated"] != true {
		t.Errorf("authenticate: %v", got)
	}
	if got := s.post("success", at+"check.json", ""); got["is_checked"] != true {
		t.Errorf("check: %v", got)
	}
	if got := s.post("error", at+"key-change.json", "key_pem_existing=f00d"); field(got, "form_errors.key_pem_existing") == nil {
		t.Errorf("a wrong key: %v", got)
	}
	changed := s.post("success", at+"key-change.json", fmt.Sprintf("key_pem_existing=%v", key))
	fresh := field(changed, "AcmeAccount.AcmeAccountKey.key_pem_md5")
	if fresh == key || fresh == nil {
		t.Errorf("the key is %v as before", fresh)
	}
	s.post("error", at+"deactivate.json", fmt.Sprintf("key_pem=%v", key))
	if got := s.post("success", at+"deactivate.json", fmt.Sprintf("key_pem=%v", fresh)); field(got, "AcmeAccount.is_deactivated") != true {
		t.Errorf("deactivated: %v", got)
	}
	if got := s.post("error", at+"check.json", ""); got["is_checked"] != false {
		t.Errorf("check of what was given up: %v", got)
	}
}

func TestScriptsOrderFreeform(t *testing.T) {
	t.Parallel()
	s := older(t)
	got := s.post("success", "/acme-order/new/freeform.json", "processing_strategy=process_single&domain_names_http01=a.certfleet.test,b.certfleet.test&acme_account_id__primary=1&private_key_technology__primary=EC_P384&private_key_cycle__primary=single_use")
	if field(got, "AcmeOrder.acme_status_order") != "valid" || field(got, "AcmeOrder.acme_order_processing_status") != "certificate_downloaded" || field(got, "AcmeOrder.x509_certificate_id") == nil {
		t.Fatalf("process_single: %v", got)
	}
	cert := s.send("GET", fmt.Sprintf("/x509-certificate/%v.json", field(got, "AcmeOrder.x509_certificate_id")), "")
	if field(cert, "X509Certificate.is_active") != true || field(cert, "X509Certificate.certificate_type") != "managed_primary" {
		t.Errorf("its certificate: %v", cert)
	}
	key := s.send("GET", fmt.Sprintf("/x509-certificate/%v/config.json", field(got, "AcmeOrder.x509_certificate_id")), "")
	if pem := fmt.Sprint(field(key, "private_key.pem")); !strings.Contains(pem, "PRIVATE KEY") {
		t.Errorf("its key: %v", key)
	}
	if next := field(got, "AcmeOrder.acme_process_steps.next_step"); next != nil || field(got, "AcmeOrder.is_processing") != nil {
		t.Errorf("an order that has ended goes on: %v", got)
	}
	window := s.post("success", fmt.Sprintf("/x509-certificate/%v/ari-check.json", field(got, "AcmeOrder.x509_certificate_id")), "")
	if field(window, "AriCheck.suggested_window_start") == nil || field(window, "AriCheck.ari_check_status") != true {
		t.Errorf("the CA's window: %v", window)
	}
	renewed := s.post("success", fmt.Sprintf("/renewal-configuration/%v/new-order.json", field(got, "AcmeOrder.renewal_configuration_id")), "processing_strategy=process_single")
	if field(renewed, "AcmeOrder.id") == field(got, "AcmeOrder.id") || field(renewed, "AcmeOrder.acme_status_order") != "valid" {
		t.Errorf("new-order: %v", renewed)
	}
}

func TestScriptsStepAnOrder(t *testing.T) {
	t.Parallel()
	s := older(t)
	got := s.post("success", "/acme-order/new/freeform.json", "processing_strategy=process_multi&domain_names_http01=step.certfleet.test")
	if field(got, "AcmeOrder.order_url") == nil || field(got, "AcmeOrder.is_processing") != true {
		t.Fatalf("process_multi: %v", got)
	}
	path := fmt.Sprintf("/acme-order/%v", field(got, "AcmeOrder.id"))
	for end := time.Now().Add(trial.Patience); field(got, "AcmeOrder.is_can_acme_process") == true; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not ready in time: %v", got)
		}
		if got = s.send("POST", path+"/acme-process.json", ""); got["AcmeOrder"] == nil {
			got = s.send("GET", path+".json", "")
		}
	}
	if field(got, "AcmeOrder.acme_status_order") != "valid" {
		t.Errorf("at the end: %v", got)
	}
	s.post("error", path+"/retry.json", "acme_order_retry_strategy=normal")
}

func TestScriptsMarkAnOrderAndRetry(t *testing.T) {
	t.Parallel()
	s := older(t)
	got := s.post("success", "/acme-order/new/freeform.json", "processing_strategy=create_order&domain_names_http01=mark.certfleet.test")
	path := fmt.Sprintf("/acme-order/%v", field(got, "AcmeOrder.id"))
	s.post("error", path+"/mark.json", "action=nonsense")
	marked := s.post("success", path+"/mark.json", "action=invalid")
	if field(marked, "AcmeOrder.acme_status_order") != "invalid" || field(marked, "AcmeOrder.is_can_retry") != true {
		t.Fatalf("marked: %v", marked)
	}
	again := s.post("success", path+"/retry.json", "acme_order_retry_strategy=normal")
	if field(again, "AcmeOrder.acme_order_id__retry_of") != field(got, "AcmeOrder.id") || field(again, "AcmeOrder.id") == field(got, "AcmeOrder.id") {
		t.Errorf("retry: %v", again)
	}
}

func TestScriptsGetACertificateIfNeeded(t *testing.T) {
	t.Parallel()
	s := older(t)
	ask := func(name string) map[string]any {
		got := s.post("success", "/api/domain/certificate-if-needed.json", url.Values{"domain_name": {name}, "processing_strategy": {"process_single"}, "account_key_option__primary": {"system_configuration_default"}}.Encode())
		results, _ := got["domain_results"].(map[string]any)
		one, _ := results[name].(map[string]any)
		return one
	}
	first := ask("need.certfleet.test")
	if first["x509_certificate.status"] != "new" || first["domain.status"] != "new" || first["acme_order.id"] == nil || first["domain.id"] == nil {
		t.Errorf("first: %v", first)
	}
	for range 2 {
		if again := ask("need.certfleet.test"); again["x509_certificate.status"] != "exists" || again["acme_order.id"] != nil || again["x509_certificate.id"] != first["x509_certificate.id"] {
			t.Errorf("again: %v, first %v", again, first)
		}
	}
}
