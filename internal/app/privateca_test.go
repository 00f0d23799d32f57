package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// second is a second node's setup, in a folder of its own, at the database of c.
func second(t *testing.T, c *config.Config) app.Setup {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "second")
	where, err := c.ResolveDatabase()
	if err != nil {
		t.Fatal(err)
	}
	return app.Setup{Path: filepath.Join(dir, "certfleet.yaml"), Authority: "letsencrypt", Agree: true,
		Choices: config.Choices{StateDir: filepath.Join(dir, "state"), Database: where, API: config.Off, HTTP01: config.Off}}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNodesOfOneDatabaseShareThePrivateCA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := app.Setup{Path: filepath.Join(dir, "certfleet.yaml"), Authority: "letsencrypt", Agree: true,
		Choices: config.Choices{StateDir: filepath.Join(dir, "state"), Database: config.Database(storetest.EmptyPostgresURL(t)), API: config.Off, HTTP01: config.Off}}
	if _, err := app.Init(t.Context(), s, func(app.Made) {}); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	s = second(t, c)
	copyFile(t, app.StatePath(c, "sealing.key"), filepath.Join(s.Choices.StateDir, "sealing.key"))
	var said []app.Made
	if token, err := app.Init(t.Context(), s, func(m app.Made) { said = append(said, m) }); err != nil || token != nil {
		t.Fatalf("init of the second node: %v", err)
	}
	other, err := config.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{app.CACertFile, app.CAKeyFile} {
		a, _ := os.ReadFile(app.StatePath(c, name))
		b, _ := os.ReadFile(app.StatePath(other, name))
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s of the second node is another one", name)
		}
	}
	if !slices.ContainsFunc(said, func(m app.Made) bool { return m.What == "private CA" && strings.Contains(m.Where, "from the database") }) {
		t.Errorf("it said %+v", said)
	}
}

func TestAnotherPrivateCAIsRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	c := manager(t)
	ca, err := pki.NewCA("stranger", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.PEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{app.CACertFile: cert, app.CAKeyFile: key} {
		if err := os.WriteFile(app.StatePath(c, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = app.Init(t.Context(), app.Setup{Path: c.Path, Authority: "office", Agree: true}, func(app.Made) {})
	if certfleet.KindOf(err) != certfleet.Conflict || !strings.HasPrefix(certfleet.AdviceOf(err), "move ca.pem and ca.key") {
		t.Errorf("init: %v", err)
	}
	if !failed(app.Check(t.Context(), c.Path), "shared CA", "move ca.pem") {
		t.Error("check does not find it")
	}
}

func failed(list []app.Finding, check, advice string) bool {
	return slices.ContainsFunc(list, func(f app.Finding) bool {
		return f.Check == check && f.State == app.CheckFail && strings.Contains(f.Advice, advice)
	})
}

// TestAWrongSealingKeyIsFoundBeforeAnythingIsMade although nothing but what init
// makes was sealed yet.
func TestAWrongSealingKeyIsFoundBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	c := manager(t)
	right, err := app.OpenKeeper(c)
	if err != nil {
		t.Fatal(err)
	}
	s := second(t, c)
	if err := os.MkdirAll(s.Choices.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	wrong, err := file.Create(filepath.Join(s.Choices.StateDir, "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Init(t.Context(), s, func(m app.Made) { t.Errorf("made %s", m.What) })
	if certfleet.KindOf(err) != certfleet.Denied || !strings.Contains(certfleet.AdviceOf(err), "set sealing_key to the one whose id is "+right.ID()+" instead of "+wrong.ID()) {
		t.Errorf("init: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	if _, err := os.Stat(s.Path); err == nil {
		t.Error("a configuration was written")
	}
	c.SealingKey = config.Reference("file:" + filepath.Join(s.Choices.StateDir, "sealing.key"))
	if err := open(t, c).RunOnce(t.Context(), time.Second); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("run: %v", err)
	}
	copyFile(t, filepath.Join(s.Choices.StateDir, "sealing.key"), app.StatePath(c, "sealing.key"))
	if !failed(app.Check(t.Context(), c.Path), "sealed keys", right.ID()) {
		t.Error("check does not find it")
	}
}
