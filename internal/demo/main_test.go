package demo

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/certfleet/certfleet/internal/porttest"
)

// TestMain gives demos ports that no other test gets while this process runs.
func TestMain(m *testing.M) {
	freePort = func() (net.Listener, error) {
		port, _, err := porttest.Take()
		if err != nil {
			return nil, err
		}
		return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	}
	os.Exit(m.Run())
}
