package file

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestCreateThenOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	made, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	opened, err := Open(path)
	if err != nil || opened.ID() != made.ID() {
		t.Fatalf("opened %v, made %v: %v", opened, made, err)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "# certfleet sealing key") {
		t.Error("the file does not say what it is")
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	first, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); certfleet.KindOf(err) != certfleet.Conflict {
		t.Fatalf("second create: %v", err)
	}
	if still, err := Open(path); err != nil || still.ID() != first.ID() {
		t.Fatalf("the first key is gone: %v", err)
	}
}

func TestOpenRefusesAKeyOthersCanRead(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o660} {
		path := filepath.Join(t.TempDir(), "sealing.key")
		if _, err := Create(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if certfleet.KindOf(err) != certfleet.Denied || !strings.Contains(certfleet.AdviceOf(err), "chmod 600 "+path) {
			t.Errorf("mode %o: %v, advice %q", mode, err, certfleet.AdviceOf(err))
		}
	}
}

func TestOpenTrustsASystemdCredential(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	if _, err := Create(path); err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o440)
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path)+"/")
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	os.WriteFile(empty, nil, 0o600)
	for path, kind := range map[string]certfleet.Kind{
		filepath.Join(folder, "none"): certfleet.NotFound,
		folder:                        certfleet.Invalid,
		empty:                         certfleet.Invalid,
	} {
		_, err := Open(path)
		if certfleet.KindOf(err) != kind || certfleet.AdviceOf(err) == "" || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: kind %v, advice %q: %v", path, certfleet.KindOf(err), certfleet.AdviceOf(err), err)
		}
	}
}

func TestOpenRefusesAForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "sealing.key")
	if _, err := Create(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Skip("this file system knows no owners:", err)
	}
	if _, err := Open(path); certfleet.KindOf(err) != certfleet.Denied || !strings.Contains(certfleet.AdviceOf(err), "--reuid 12345") {
		t.Errorf("got %v, advice %q", err, certfleet.AdviceOf(err))
	}
}

func TestOwnerAdviceNeverTakesTheKeyFromTheService(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skip("this user has no name:", err)
	}
	uid, err := strconv.ParseUint(me.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if got := ownerAdvice(0, uint32(uid), "k"); !strings.Contains(got, "runuser -u "+me.Username+" -- certfleet") {
		t.Errorf("root is told %q", got)
	}
	if got := ownerAdvice(1000, 12345, "k"); got != "run chown 1000 k" {
		t.Errorf("another user is told %q", got)
	}
}
