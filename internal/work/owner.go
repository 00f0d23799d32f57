package work

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet/internal/store"
)

// OwnerName names this process among all that share a store: the host, the
// process, when it started, so that a reused process id is not mistaken, and
// where its process id counts.
func OwnerName() string {
	host, _ := os.Hostname()
	pid := os.Getpid()
	return fmt.Sprintf("%s/%d/%s/%s", host, pid, startOf(pid), realm())
}

// realm tells machines and containers of one host name apart: the boot of the
// kernel and the namespace in which process ids count, empty where there are none.
func realm() string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, _ := os.Readlink("/proc/self/ns/pid")
	id, _, _ := strings.Cut(string(boot), "-")
	return strings.TrimSpace(id) + "." + strings.Trim(space, "pid:[]")
}

// startOf is the kernel's start time of a process (field 22 of its stat file),
// empty when there is no such process or no such file. One that was killed and that
// nobody has asked after (a zombie, as containers without an init keep them) is none.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is a name in parentheses that may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// dead reports whether owner is a process of this host that runs no more. Of
// other hosts it knows nothing: their leases end by themselves. A store that is
// shared over a network may be shared with hosts of the same name; a file is not,
// and there a container that was started anew frees what it held before.
func dead(owner string, shared bool) bool {
	host, _ := os.Hostname()
	parts := strings.Split(owner, "/")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != host {
		return false
	}
	if shared && (len(parts) < 4 || parts[3] != realm()) {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	return err == nil && startOf(pid) != parts[2]
}

// FreeDead gives back what dead processes of this host held, so that their
// orders go on at once. Call it at start.
func FreeDead(ctx context.Context, db *store.DB) error {
	owners, err := db.Owners(ctx)
	if err != nil {
		return err
	}
	for _, o := range owners {
		if !dead(o, db.Postgres()) {
			continue
		}
		if err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.FreeOwner(ctx, o) }); err != nil {
			return err
		}
	}
	return nil
}
