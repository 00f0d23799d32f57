// Package porttest gives tests ports that nobody else gets meanwhile: neither the
// kernel, which hands out higher ones, nor another test of any process.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// The range is below the ports that the kernel gives to connections.
const (
	lowest  = 10000
	highest = 29999
	tries   = 200
)

// errNone is what Take answers when every port it tried was taken.
var errNone = errors.New("no port is free")

// held keeps the locks of ports that were not given back: a file that nobody
// refers to is closed, and its lock with it.
var held sync.Map

// Take answers a TCP port on 127.0.0.1 that is free, and stays the caller's until
// it is given back or the process ends, whether it is listened on or not.
func Take() (port int, giveBack func(), err error) {
	dir := filepath.Join(os.TempDir(), "certfleet-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, nil, err
	}
	for range tries {
		port := lowest + rand.IntN(highest-lowest+1)
		lock, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return 0, nil, err
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(port) {
			held.Store(port, lock)
			return port, func() { held.Delete(port); lock.Close() }, nil
		}
		lock.Close()
	}
	return 0, nil, errNone
}

// Port is Take for as long as a test runs.
func Port(t testing.TB) int {
	t.Helper()
	port, giveBack, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	return port
}

func free(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
