//go:build !linux

package store

import (
	"syscall"
	"time"
)

// giveUpAfter does nothing: keep-alive alone notices that a server is gone.
func giveUpAfter(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
