package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// manager is a host that init has set up.
func manager(t *testing.T) *config.Config {
	t.Helper()
	dir := storetest.Dir(t)
	s := app.Setup{Path: filepath.Join(dir, "certfleet.yaml"), Authority: "office", Directory: "https://127.0.0.1:1/directory", Agree: true,
		Choices: config.Choices{StateDir: filepath.Join(dir, "state"), API: config.Off, HTTP01: config.Off}}
	if _, err := app.Init(t.Context(), s, func(app.Made) {}); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c *config.Config) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), c, app.Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// seal seals something under each of n data keys.
func seal(t *testing.T, c *config.Config, n int) (sealed [][]byte) {
	t.Helper()
	a := open(t, c)
	for range n {
		if _, err := a.Keys.NewDataKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := a.Keys.Seal(t.Context(), []byte("secret"), "row")
		if err != nil {
			t.Fatal(err)
		}
		sealed = append(sealed, b)
	}
	return sealed
}

func opens(t *testing.T, c *config.Config, sealed [][]byte) {
	t.Helper()
	a := open(t, c)
	for _, b := range sealed {
		if plain, err := a.Keys.Open(t.Context(), b, "row"); err != nil || string(plain) != "secret" {
			t.Fatalf("a sealed value does not open any more: %v", err)
		}
	}
}

func TestRekeyGoesOnWhereverItWasInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(t *testing.T, c *config.Config, cancel func(), done int){
		"not at all":               func(*testing.T, *config.Config, func(), int) {},
		"after the first key":      func(_ *testing.T, _ *config.Config, cancel func(), done int) { cancelAt(done, 1, cancel) },
		"before the last key":      func(_ *testing.T, _ *config.Config, cancel func(), done int) { cancelAt(done, 2, cancel) },
		"before the files changed": func(_ *testing.T, _ *config.Config, cancel func(), done int) { cancelAt(done, 3, cancel) },
	} {
		t.Run(name, func(t *testing.T) {
			c := manager(t)
			sealed := seal(t, c, 3)
			before, err := app.OpenKeeper(c)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, err = app.Rekey(ctx, c, "", func(done, _ int) { interrupt(t, c, cancel, done) })
			cancel()
			if err != nil { // it was interrupted; the old key still is the configured one
				if _, err := app.Rekey(t.Context(), c, "", func(int, int) {}); err != nil {
					t.Fatalf("again: %v", err)
				}
			} else if name != "not at all" {
				t.Fatal("nothing was interrupted")
			}
			after, err := app.OpenKeeper(c)
			if err != nil || after.ID() == before.ID() {
				t.Fatalf("the sealing key is %v as before, %v", after, err)
			}
			opens(t, c, sealed)
			_, path := c.KeyReference().Split()
			if old, err := file.Open(path + "." + before.ID() + ".old"); err != nil || old.ID() != before.ID() {
				t.Errorf("the old key was not kept: %v", err)
			}
			if _, err := os.Stat(path + ".new"); err == nil {
				t.Error("the new key was left beside")
			}
		})
	}
}

func cancelAt(done, at int, cancel func()) {
	if done == at {
		cancel()
	}
}

func TestRekeyToAKeyElsewhereLeavesTheFilesAlone(t *testing.T) {
	t.Parallel()
	c := manager(t)
	sealed := seal(t, c, 1)
	_, path := c.KeyReference().Split()
	before, _ := os.ReadFile(path)
	fresh := filepath.Join(t.TempDir(), "other.key")
	got, err := app.Rekey(t.Context(), c, config.Reference("file:"+fresh), func(int, int) {})
	if err != nil || got.Old != "" || got.Rewrapped != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the old key was changed")
	}
	c.SealingKey = config.Reference("file:" + fresh)
	opens(t, c, sealed)
}

func TestInitGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	c := manager(t)
	for _, lost := range []string{app.CACertFile, "certfleet.db"} {
		if err := os.Remove(app.StatePath(c, lost)); err != nil {
			t.Fatal(err)
		}
		kept, made := map[string]bool{}, map[string]bool{}
		_, err := app.Init(t.Context(), app.Setup{Path: c.Path, Authority: "letsencrypt", Agree: true}, func(m app.Made) {
			made[m.What], kept[m.What] = !m.Kept, m.Kept
		})
		if err != nil {
			t.Fatalf("without %s: %v", lost, err)
		}
		if !kept["sealing key"] || !kept["configuration"] {
			t.Errorf("without %s: the sealing key or the configuration was made anew", lost)
		}
		if lost == app.CACertFile && !made["private CA"] || lost == "certfleet.db" && !made["account"] {
			t.Errorf("without %s: made %v", lost, made)
		}
	}
	if _, err := app.LoadCA(c); err != nil {
		t.Error(err)
	}
}

func TestInitOfASecondNodeAsksForTheKeyAndMakesNothing(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"nothing sealed yet": 0, "keys sealed": 1} {
		t.Run(name, func(t *testing.T) {
			c := manager(t)
			seal(t, c, n)
			dir := filepath.Join(t.TempDir(), "second")
			s := app.Setup{Path: filepath.Join(dir, "certfleet.yaml"), Authority: "letsencrypt", Agree: true,
				Choices: config.Choices{StateDir: filepath.Join(dir, "state"), Database: config.Database(app.StatePath(c, "certfleet.db")), API: config.Off, HTTP01: config.Off}}
			_, err := app.Init(t.Context(), s, func(m app.Made) { t.Errorf("made %s", m.What) })
			if advice := certfleet.AdviceOf(err); certfleet.KindOf(err) != certfleet.NotFound || !strings.Contains(advice, "copy sealing.key from") {
				t.Errorf("%v, advice %q", err, advice)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was written")
			}
			if accounts, err := open(t, c).DB.Accounts(t.Context(), certfleet.DefaultTenant); err != nil || len(accounts) != 1 {
				t.Errorf("%d accounts, %v", len(accounts), err)
			}
			_, key := c.KeyReference().Split()
			if err := os.Rename(key, key+".away"); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(app.Check(t.Context(), c.Path), func(f app.Finding) bool {
				return f.Check == "sealing key" && f.State == app.CheckFail && strings.Contains(f.Advice, "copy sealing.key from")
			}) {
				t.Error("check does not advise the same")
			}
		})
	}
}

func TestEncryptedBackupComesBackWithItsKeyAlone(t *testing.T) {
	t.Parallel()
	c := manager(t)
	sealed := seal(t, c, 1)
	path := filepath.Join(t.TempDir(), "backup.age")
	if err := app.Backup(t.Context(), c, path, true, nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("SQLite format")) || !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n")) {
		t.Error("the backup is not encrypted")
	}
	into := filepath.Join(t.TempDir(), "again.db")
	other := manager(t)
	if _, err := app.Restore(t.Context(), other, path, app.RestoreOptions{Into: into}); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("another key: %v", err)
	}
	if _, err := app.Restore(t.Context(), c, path, app.RestoreOptions{Into: into}); err != nil {
		t.Fatal(err)
	}
	c.Database = config.Database(into)
	opens(t, c, sealed)
}

func TestReloadTakesOverWhatItCanAndNamesTheRest(t *testing.T) {
	t.Parallel()
	c := manager(t)
	a := open(t, c)
	text, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(more string) {
		if err := os.WriteFile(c.Path, append(bytes.Clone(text), more...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("trusted_proxies: [192.0.2.0/24]\npublic_url: https://certs.example\nsolvers:\n  one: {type: dnsexec, command: [/bin/true]}\n")
	got, err := a.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"trusted_proxies", "solvers"}; !slices.Equal(got.Changed, want) {
		t.Errorf("in force are %v, want %v", got.Changed, want)
	}
	if want := []string{"public_url"}; !slices.Equal(got.Restart, want) {
		t.Errorf("waiting are %v, want %v", got.Restart, want)
	}
	if _, err := a.Issue.Solver(certfleet.DNS01, "one"); err != nil {
		t.Errorf("the new solver is not there: %v", err)
	}
	write("solvers:\n  two: {type: nonsense}\n")
	if _, err := a.Reload(); err == nil {
		t.Error("a solver of an unknown type was taken over")
	}
	if _, err := a.Issue.Solver(certfleet.DNS01, "one"); err != nil {
		t.Errorf("a bad configuration took the solver away: %v", err)
	}
}

func TestReloadTakesTheKeyOfARekey(t *testing.T) {
	t.Parallel()
	c := manager(t)
	sealed := seal(t, c, 2)
	a := open(t, c)
	if err := a.Keys.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Rekey(t.Context(), c, "", func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	if err := a.Keys.Check(t.Context()); err == nil {
		t.Fatal("the old key still opens everything")
	}
	got, err := a.Reload()
	if err != nil || !slices.Equal(got.Changed, []string{"sealing_key"}) {
		t.Fatalf("reload: %+v, %v", got, err)
	}
	if err := a.Keys.Check(t.Context()); err != nil {
		t.Errorf("after the reload: %v", err)
	}
	if plain, err := a.Keys.Open(t.Context(), sealed[0], "row"); err != nil || string(plain) != "secret" {
		t.Errorf("a sealed value does not open any more: %v", err)
	}
}

// TestProblemsOfPluginsSayWhereTheyStand although only what is made of the
// settings finds them.
func TestProblemsOfPluginsSayWhereTheyStand(t *testing.T) {
	t.Parallel()
	c := manager(t)
	b, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	lines := strings.Count(text, "\n")
	solvers := text + "solvers:\n  one:\n    type: rfc2163\n  two:\n    type: exec\n    command: [/bin/true]\n    ready: perhaps\n  three:\n    type: exec\n    comand: [/bin/true]\n  four:\n    type: exec\n"
	roots := strings.Replace(text, `#roots: ""`, "roots: /nowhere/roots.pem", 1)
	for where, file := range map[string]string{
		fmt.Sprintf(`:%d:11: solver "one" has unknown type "rfc2163"; did you mean "rfc2136"?`, lines+3):                   solvers,
		fmt.Sprintf(`:%d:5: solver "two": ready "perhaps" is not known`, lines+7):                                          solvers,
		fmt.Sprintf(`:%d:5: there is no setting "comand" in solvers.three; did you mean "command"?`, lines+10):             solvers,
		fmt.Sprintf(`:%d:11: solver "four": the solver has no command`, lines+12):                                          solvers,
		fmt.Sprintf(`:%d:10: probe.roots cannot be read`, 1+strings.Count(text[:strings.Index(text, `#roots: ""`)], "\n")): roots,
	} {
		if err := os.WriteFile(c.Path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		found := app.Check(t.Context(), c.Path)
		if !slices.ContainsFunc(found, func(f app.Finding) bool {
			return f.State == app.CheckFail && f.Advice != "" && strings.HasPrefix(f.Found, c.Path+where)
		}) {
			t.Errorf("check does not say %s:\n%+v", where, found)
		}
	}
}

func TestOfflineAnswersAndStreams(t *testing.T) {
	t.Parallel()
	a := open(t, manager(t))
	h := &http.Client{Transport: a.Offline("user:me")}
	res, err := h.Post("http://offline/v1/certificates", "application/json", strings.NewReader(`{"names":["shop.example"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var made api.CertificateAnswer
	err = json.NewDecoder(res.Body).Decode(&made)
	res.Body.Close()
	if err != nil || !made.Created || res.StatusCode >= 300 {
		t.Fatalf("%s: %+v, %v", res.Status, made, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://offline/v1/events/stream?after=start&kind=certificate.", nil)
	if res, err = h.Do(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			if !strings.Contains(lines.Text(), `"user:me"`) {
				t.Errorf("the event does not say who did it: %s", lines.Text())
			}
			return
		}
	}
	t.Errorf("the stream ended without the event: %v", lines.Err())
}

func TestReadOnlyNodeShowsAndChangesNothing(t *testing.T) {
	t.Parallel()
	c := manager(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := app.Backup(t.Context(), c, copied, false, nil); err != nil {
		t.Fatal(err)
	}
	o, err := app.ReadOnly(c, copied, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h := &http.Client{Transport: a.Offline("user:me")}
	res, err := h.Get("http://offline/v1/authorities")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	res.Body.Close()
	res, err = h.Post("http://offline/v1/certificates", "application/json", strings.NewReader(`{"names":["shop.example"]}`))
	if err != nil || res.StatusCode < 400 {
		t.Errorf("a copy was changed: %v, %v", res, err)
	}
	res.Body.Close()
}

func TestLogOfTheCAHasALevelOfItsOwn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, levels := app.NewLog(&out, config.Log{Level: slog.LevelWarn, ACME: slog.LevelDebug, Format: "json"})
	ca := log.With("log", "acme").WithGroup("acme")
	log.Info("plain info")
	ca.Debug("ca debug")
	levels.Set(config.Log{Level: slog.LevelInfo, ACME: slog.LevelError})
	log.Info("later info")
	ca.Warn("ca warning")
	text := out.String()
	for want, is := range map[string]bool{"plain info": false, "ca debug": true, "later info": true, "ca warning": false} {
		if strings.Contains(text, want) != is {
			t.Errorf("%q: shown %v, want %v\n%s", want, !is, is, text)
		}
	}
}

func TestCheckFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		breaks func(t *testing.T, c *config.Config)
		check  string
	}{
		"mode of the sealing key": {func(t *testing.T, c *config.Config) { os.Chmod(app.StatePath(c, "sealing.key"), 0o644) }, "sealing key"},
		"no sealing key":          {func(t *testing.T, c *config.Config) { os.Remove(app.StatePath(c, "sealing.key")) }, "sealing key"},
		"open folder":             {func(t *testing.T, c *config.Config) { os.Chmod(c.StateDir, 0o777) }, "state folder"},
		"not a database": {func(t *testing.T, c *config.Config) {
			os.WriteFile(app.StatePath(c, "certfleet.db"), bytes.Repeat([]byte("x"), 4096), 0o600)
		}, "database and plugins"},
		"other sealing key": {func(t *testing.T, c *config.Config) {
			seal(t, c, 1)
			os.Remove(app.StatePath(c, "sealing.key"))
			file.Create(app.StatePath(c, "sealing.key"))
		}, "sealed keys"},
		"policy without account": {func(t *testing.T, c *config.Config) {
			a := open(t, c)
			a.DB.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
				return tx.AddPolicy(t.Context(), &certfleet.Policy{Label: "other", Spec: certfleet.PolicySpec{Authorities: []string{"zerossl"}}})
			})
		}, "policy other"},
		"unreachable CA": {func(*testing.T, *config.Config) {}, "authority office"},
	} {
		t.Run(name, func(t *testing.T) {
			c := manager(t)
			row.breaks(t, c)
			found := app.Check(t.Context(), c.Path)
			i := slices.IndexFunc(found, func(f app.Finding) bool { return f.Check == row.check && f.State == app.CheckFail })
			if i < 0 {
				t.Fatalf("no failed %q in %+v", row.check, found)
			}
			if found[i].Advice == "" {
				t.Errorf("no advice in %+v", found[i])
			}
		})
	}
}
