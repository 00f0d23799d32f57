// Package trial says how much a run of the tests takes on. Plain go test needs
// seconds: of a matrix it walks one way, of a year a few certificates. make test
// asks for all of it, make test-long for hours, and each says so in the environment.
package trial

import (
	"os"
	"os/exec"
	"testing"
)

// Real reports whether programs that are not installed fail a test and PostgreSQL
// is started: CERTFLEET_REAL=1.
func Real() bool { return os.Getenv("CERTFLEET_REAL") == "1" }

// Long reports whether soak tests and large fleets are asked for: CERTFLEET_LONG=1.
func Long() bool { return os.Getenv("CERTFLEET_LONG") == "1" }

// Full reports whether all but those is asked for, as make test does with
// CERTFLEET_FULL=1; who asks for real programs or for long tests wants it too.
func Full() bool { return os.Getenv("CERTFLEET_FULL") == "1" || Real() || Long() }

// InFull skips a test that takes longer than plain go test may, unless all is
// asked for.
func InFull(t testing.TB) {
	t.Helper()
	if !Full() {
		t.Skip("it takes too long for plain go test; set CERTFLEET_FULL=1, as make test does")
	}
}

// Missing skips a test for the lack of something that can be installed; with
// CERTFLEET_REAL=1 it fails it.
func Missing(t testing.TB, what, debian string) {
	t.Helper()
	if Real() {
		t.Fatalf("%s is not installed; apt-get install %s", what, debian)
	}
	t.Skipf("%s is not installed; apt-get install %s, or make test", what, debian)
}

// Program finds a program of a Debian package, or skips the test as Missing does.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/", "/usr/lib/openssh/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	Missing(t, name, debian)
	return ""
}
