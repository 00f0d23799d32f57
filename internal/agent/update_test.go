package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// noting is an updater that adds a line to a file, and fails while FILE.fail is there.
func noting(label, file, more string) string {
	return fmt.Sprintf("  %s:\n    type: script\n    command: [sh, -c, 'test ! -e %[2]s.fail && echo %[1]s $CERTFLEET_CERTIFICATES >> %[2]s']\n    pause: 1ms\n    retries: 1\n%s", label, file, more)
}

func lines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(b), " ", ":"))
}

func TestUpdatersRunForWhatChangedInOrder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls")
	k := newKit(t, func(c *Config) {
		c.Updaters = settings(t, "updaters:\n"+noting("zeta", file, "")+noting("mail", file, "    for: [mail]\n")+noting("alpha", file, "    for: ['*hop']\n"))
	})
	k.stage("shop", pair(t, time.Hour, "shop.example"))
	if r := k.sync(); r.Err() != nil {
		t.Fatal(r.Err())
	}
	if got := lines(t, file); !slices.Equal(got, []string{"zeta:shop", "alpha:shop"}) {
		t.Errorf("ran %q", got)
	}
	if r := k.sync(); len(r.Updates) != 0 {
		t.Errorf("nothing changed, and %+v", r.Updates)
	}
}

func TestFailedUpdaterIsOwedAcrossRestarts(t *testing.T) {
	t.Parallel()
	file, sick := filepath.Join(t.TempDir(), "calls"), filepath.Join(t.TempDir(), "sick")
	os.WriteFile(sick+".fail", nil, 0o600)
	k := newKit(t, func(c *Config) {
		c.Updaters = settings(t, "updaters:\n"+noting("sick", sick, "")+noting("well", file, ""))
	})
	k.stage("shop", pair(t, time.Hour, "shop.example"))
	r := k.sync()
	if r.Err() == nil || certfleet.AdviceOf(r.Err()) == "" || !strings.Contains(r.Err().Error(), "updater sick") {
		t.Errorf("got %v", r.Err())
	}
	k.Close()
	k.open(k.c) // another process
	if r := k.sync(); r.Err() == nil || len(lines(t, file)) != 1 {
		t.Errorf("%v; the one that is well ran %q", r.Err(), lines(t, file))
	}
	os.Remove(sick + ".fail")
	if r := k.sync(); r.Err() != nil || len(lines(t, sick)) != 1 || len(lines(t, file)) != 1 {
		t.Errorf("%v; %q and %q", r.Err(), lines(t, sick), lines(t, file))
	}
	if r := k.sync(); len(r.Updates) != 0 {
		t.Errorf("nothing is owed any more, and %+v", r.Updates)
	}
}

func TestFailFastLeavesTheRestForLater(t *testing.T) {
	t.Parallel()
	file, sick := filepath.Join(t.TempDir(), "calls"), filepath.Join(t.TempDir(), "sick")
	os.WriteFile(sick+".fail", nil, 0o600)
	k := newKit(t, func(c *Config) {
		c.FailFast, c.Updaters = true, settings(t, "updaters:\n"+noting("sick", sick, "")+noting("well", file, ""))
	})
	k.stage("shop", pair(t, time.Hour, "shop.example"))
	if r := k.sync(); r.Err() == nil || len(lines(t, file)) != 0 {
		t.Errorf("%v; went on to %q", r.Err(), lines(t, file))
	}
	os.Remove(sick + ".fail")
	if r := k.sync(); r.Err() != nil || len(lines(t, file)) != 1 {
		t.Errorf("%v; ran %q", r.Err(), lines(t, file))
	}
}

func TestDaemonUpdatesOnceForManyChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls")
	k := newKit(t, func(c *Config) {
		c.UpdateDelay = certfleet.Duration(3 * time.Second)
		c.Updaters = settings(t, "updaters:\n"+noting("web", file, ""))
	})
	k.stage("early", pair(t, time.Hour, "early.example")) // before it starts
	k.run()
	var pushers []*sftp.Client
	for range 3 { // they have logged in before the first change, which may take a while
		conn, c := k.client()
		defer conn.Close()
		pushers = append(pushers, c)
	}
	for i, c := range pushers {
		pushPair(t, c, fmt.Sprintf("shop%d", i), pair(t, time.Hour, "shop.example"))
		c.Close()
	}
	k.eventually("the updater runs", func() bool { return len(lines(t, file)) > 0 })
	time.Sleep(100 * time.Millisecond)
	if got := strings.Join(lines(t, file), "\n"); strings.Count(got, "web") != 1 || !strings.Contains(got, "early") || !strings.Contains(got, "shop2") {
		t.Errorf("ran %q, want once for all", got)
	}
}

func pushPair(t testing.TB, c *sftp.Client, name string, files map[string][]byte) {
	t.Helper()
	c.Mkdir(name)
	for _, f := range []string{lineage.FullChain, lineage.PrivKey} {
		if err := put(c, name+"/"+f, files[f]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangeDuringAnUpdateHasOneOfItsOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls")
	k := newKit(t, func(c *Config) {
		c.Updaters = settings(t, "updaters:\n  slow:\n    type: script\n    command: [sh, -c, 'echo $CERTFLEET_CERTIFICATES >> "+file+"; sleep 0.4']\n")
	})
	k.run()
	for _, name := range []string{"first", "second"} {
		conn, c := k.client()
		pushPair(t, c, name, pair(t, time.Hour, "shop.example"))
		c.Close()
		conn.Close()
		k.eventually(name+" is told", func() bool { return slices.Contains(lines(t, file), "first") })
	}
	k.eventually("the second has a run", func() bool { return slices.Equal(lines(t, file), []string{"first", "second"}) })
}

func TestWaitDecidesWhenUpdatersRun(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	w := wait{delay: 10 * time.Second, max: 25 * time.Second}
	if !w.at().IsZero() {
		t.Error("it runs without a change")
	}
	for _, row := range []struct{ change, want int }{{0, 10}, {8, 18}, {16, 25}, {24, 25}} {
		if w.more(at(row.change)); !w.at().Equal(at(row.want)) {
			t.Errorf("after the change at %d it runs at %d, want %d", row.change, w.at().Unix()-1000, row.want)
		}
	}
	for _, want := range []int{60, 120, 240, 480, 960, 1920, 3600, 3600} {
		if w.done(at(0), false); !w.at().Equal(at(want)) {
			t.Errorf("after a failure it runs at %d, want %d", w.at().Unix()-1000, want)
		}
	}
	if w.done(at(0), true); !w.at().IsZero() || w.failures != 0 {
		t.Errorf("after a success it runs at %v", w.at())
	}
}
