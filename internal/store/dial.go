package store

import (
	"context"
	"net"
	"time"
)

// silence is how long a database server may be gone without a word before a
// connection is given up. Left to itself a kernel waits a quarter of an hour, and
// whoever waits for an answer with it, long after another server took its place.
const silence = 30 * time.Second

// dialPostgres connects so that a server that vanished is noticed.
func dialPostgres(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3},
		Control:         giveUpAfter(silence),
	}
	return d.DialContext(ctx, network, addr)
}
