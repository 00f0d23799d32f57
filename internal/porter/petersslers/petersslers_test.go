package petersslers_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
	minnow "github.com/certfleet/certfleet/internal/porter/petersslers/petersslerstest"
	"github.com/certfleet/certfleet/internal/trial"
)

func fresh(t *testing.T) *minnow.Minnow {
	t.Helper()
	m := minnow.New(filepath.Join(t.TempDir(), "ssl minnow?.sqlite"))
	t.Cleanup(m.Close)
	return m
}

func open(t *testing.T, m *minnow.Minnow) *petersslers.DB {
	t.Helper()
	d, err := petersslers.Open(t.Context(), m.Path)
	if err != nil {
		t.Fatalf("%v (%s)", err, certfleet.AdviceOf(err))
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func renewals(t *testing.T, d *petersslers.DB) (out []petersslers.Renewal) {
	t.Helper()
	if err := d.Renewals(t.Context(), func(list []petersslers.Renewal) error { out = append(out, list...); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilesThatAreNoSuchDatabaseAreRefusedWithAdvice(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.sqlite")
	os.WriteFile(text, []byte("not a database, but long enough to be read"), 0o600)
	made := func(name, schema string) string {
		path := filepath.Join(dir, name)
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(schema); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lacking := fresh(t)
	lacking.Exec("ALTER TABLE renewal_configuration RENAME COLUMN note TO remark")
	for path, want := range map[string][2]string{
		filepath.Join(dir, "missing"): {"cannot be read (no such file or directory)", "let this user read"},
		dir:                           {"is a folder", "ssl_minnow.sqlite"},
		text:                          {"is not a SQLite database", "ssl_minnow.sqlite"},
		made("else", "CREATE TABLE shop (id INTEGER)"):              {"is not a database of peter_sslers", "ssl_minnow.sqlite"},
		made("old", "CREATE TABLE certificate_signed (id INTEGER)"): {"older generation of peter_sslers: it has a table certificate_signed", "alembic upgrade head"},
		lacking.Path: {"it lacks renewal_configuration.note", "alembic upgrade head"},
	} {
		_, err := petersslers.Open(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), want[0]) || !strings.Contains(certfleet.AdviceOf(err), want[1]) {
			t.Errorf("%s: %v, advice %q; want %q", path, err, certfleet.AdviceOf(err), want)
		}
	}
}

func TestRenewalConfigurationsComeWithTheirNamesInBatches(t *testing.T) {
	trial.InFull(t)
	m := fresh(t)
	const many = 1203 // more than two batches
	m.Exec("BEGIN")
	for i := range many {
		m.Renewal(0, minnow.Row{"label": fmt.Sprint("rc", i)}, minnow.By(fmt.Sprintf("n%d.example", i), minnow.HTTP01, minnow.DNS01), minnow.By(fmt.Sprintf("w%d.example", i), minnow.DNS01))
	}
	m.Exec("COMMIT")
	all := renewals(t, open(t, m))
	if len(all) != many {
		t.Fatalf("read %d, want %d", len(all), many)
	}
	for i, n := range all {
		want := []petersslers.Proof{{Name: fmt.Sprintf("n%d.example", i), Types: []certfleet.ChallengeType{certfleet.HTTP01, certfleet.DNS01}}, {Name: fmt.Sprintf("w%d.example", i), Types: []certfleet.ChallengeType{certfleet.DNS01}}}
		if n.Label != fmt.Sprint("rc", i) || !slices.EqualFunc(n.Proofs, want, func(a, b petersslers.Proof) bool { return a.Name == b.Name && slices.Equal(a.Types, b.Types) }) {
			t.Fatalf("row %d: %+v", i, n)
		}
	}
}

func TestOddRowsAreReadAndNotStumbledOver(t *testing.T) {
	m := fresh(t)
	m.Renewal(0, minnow.Row{"private_key_technology_id__primary": 77, "acme_account_id__backup": 5, "private_key_technology_id__backup": 99, "private_key_cycle_id__backup": 8, "acme_profile__backup": "@"}, minnow.By("a.example"))
	m.Renewal(0, minnow.Row{"uniquely_challenged_fqdn_set_id": 999}, minnow.By("b.example"))
	m.Renewal(0, minnow.Row{"private_key_technology_id__primary": "EC", "is_active": "yes", "note": []byte("\xff\xfe"), "label": nil}, minnow.By("c.example"))
	m.Insert("acme_dns_server_account", minnow.Row{"acme_dns_server_id": 7, "domain_id": 999, "is_active": nil})
	d := open(t, m)
	all := renewals(t, d)
	if q := all[0]; !q.Primary.Unknown || q.Backup == nil || !q.Backup.System || q.Backup.KeyCycle != certfleet.KeySystemDefault || q.Backup.Profile != "@" {
		t.Errorf("quartets: %+v %+v", q.Primary, q.Backup)
	}
	if len(all[1].Proofs) != 0 {
		t.Errorf("a set that is gone has names: %+v", all[1].Proofs)
	}
	if len(all) != 3 || !all[2].Active || all[2].Primary.KeyType != "" {
		t.Errorf("a row of words in place of numbers: %+v", all)
	}
	err := d.Delegations(t.Context(), func(list []petersslers.Delegation) error {
		if len(list) != 1 || list[0].Domain != "" || list[0].Server != "" || list[0].Active {
			t.Errorf("%+v", list)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestACertificateComesWithItsKeyAndAllItsChains(t *testing.T) {
	m := fresh(t)
	n, set := m.Renewal(0, nil, minnow.By("a.example"))
	id, pair := m.Issue(n, set, minnow.Primary, time.Hour, nil, "a.example")
	old, _ := m.Issue(n, set, minnow.Primary, -time.Hour, nil, "a.example")
	other, err := pki.NewCA("other root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	root, _, _ := other.PEM()
	m.Alternate(id, string(root))
	keyless, _ := m.Issue(n, set, minnow.Primary, 2*time.Hour, minnow.Row{"private_key_id": 0}, "a.example")
	d := open(t, m)
	var got []petersslers.Certificate
	if err := d.Certificates(t.Context(), time.Now(), func(list []petersslers.Certificate) error { got = append(got, list...); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].ID != id || got[0].RenewalID != n || got[0].Role != petersslers.Primary || !got[0].Active || got[1].ID != keyless {
		t.Errorf("valid ones without %d: %+v", old, got)
	}
	p, err := d.Pair(t.Context(), id)
	if err != nil || !bytes.Equal(p.ChainPEM, pair.ChainPEM) || !bytes.Equal(p.KeyPEM, pair.KeyPEM) || len(p.Others) != 1 || !bytes.HasSuffix(p.Others[0], root) {
		t.Errorf("pair: %v, %d bytes of chain for %d, %d others", err, len(p.ChainPEM), len(pair.ChainPEM), len(p.Others))
	}
	if p, err := d.Pair(t.Context(), keyless); err != nil || len(p.KeyPEM) != 0 {
		t.Errorf("the placeholder of a key came along: %v, %d bytes", err, len(p.KeyPEM))
	}
}

// The server that the file belongs to writes while it is read, and is not kept waiting.
func TestTheServerMayGoOnWriting(t *testing.T) {
	m := fresh(t)
	m.Exec("BEGIN")
	for i := range 1100 {
		m.Insert("domain_blocklisted", minnow.Row{"domain_name": fmt.Sprintf("n%d.example", i)})
	}
	m.Exec("COMMIT")
	d := open(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	n := 0
	for i := range 3 {
		m.Exec("UPDATE domain_blocklisted SET domain_name = 'x' || id || 'example' WHERE id = ?", i)
		list, err := d.Blocklist(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
	}
	if n != 3300 {
		t.Errorf("read %d rows in three looks, want 3300", n)
	}
	err := d.Delegations(ctx, func([]petersslers.Delegation) error { return nil })
	if err != nil {
		t.Error(err)
	}
}
