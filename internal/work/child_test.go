package work_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/work"
)

// The environment that makes the test binary a node that never ends what it
// begins: its database, its name (its own when empty), and how long claims hold.
const (
	childOf    = "CERTFLEET_TEST_WORK_DATABASE"
	childName  = "CERTFLEET_TEST_WORK_NAME"
	childHolds = "CERTFLEET_TEST_WORK_LEASE"
)

// childLease is how long the claims of children hold where they are waited for.
const childLease = 12 * time.Second

func TestMain(m *testing.M) {
	if url := os.Getenv(childOf); url != "" {
		os.Exit(beChild(url))
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they work
		panic(err)
	}
	os.Exit(trial.Run(m))
}

func beChild(url string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lease, err := time.ParseDuration(os.Getenv(childHolds))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	db, err := store.Open(ctx, url, store.Options{Lease: lease})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer db.Close()
	hangs := newPile("rows", 1, func(ctx context.Context, id int64) (bool, error) {
		fmt.Println("began", id)
		<-ctx.Done()
		return false, ctx.Err()
	})
	name := os.Getenv(childName)
	if name == "" {
		name = work.OwnerName()
	}
	w := &work.Work{DB: db, Owner: name, Kinds: []work.Kind{hangs.kind()}, Grace: time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if err := w.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child starts a node that leads, and waits until it has begun a row.
func child(t *testing.T, url, name string, lease time.Duration) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childOf+"="+url, childName+"="+name, childHolds+"="+lease.String())
	cmd.Stderr = &lines{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatalf("the child said %q: %v, %s", line, err, cmd.Stderr)
	}
	go io.Copy(io.Discard, said)
	return cmd
}
