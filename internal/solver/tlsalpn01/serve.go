package tlsalpn01

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// The bounds of what strangers can hold.
const (
	handshakeTimeout = 10 * time.Second
	maxHandshakes    = 256 // at a time; more wait in the kernel's queue
	acceptPause      = 100 * time.Millisecond
)

// Hit is told of each handshake once it is over: the name asked for (empty when
// it was none), from where, and whether it was answered. It must not block.
type Hit func(name, client string, known bool)

// Serve answers challenges on ln until ctx ends, closing each connection after
// its handshake. It closes ln, waits for the handshakes in flight and returns
// nil when ctx ended, else why it could not go on.
func Serve(ctx context.Context, ln net.Listener, lookup Lookup, hit Hit) error {
	config := TLSConfig(lookup)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	slots := make(chan struct{}, maxHandshakes)
	for {
		conn, err := accept(ctx, ln)
		if err != nil {
			return endOf(ctx, err)
		}
		slots <- struct{}{} // freed within handshakeTimeout
		wg.Go(func() {
			defer func() { <-slots }()
			shake(ctx, conn, config, hit)
		})
	}
}

func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept tls-alpn-01 connection: %w", err)
}

// accept goes on after what passes by itself, such as a lack of descriptors.
func accept(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for {
		conn, err := ln.Accept()
		if err == nil || ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(acceptPause):
		}
	}
}

func shake(ctx context.Context, conn net.Conn, config *tls.Config, hit Hit) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	// The hello is read aside, as a handshake that fails early forgets its name.
	var asked certfleet.Name
	config = config.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		asked, _ = nameOf(hello.ServerName)
		return nil, nil
	}
	c := tls.Server(conn, config)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(handshakeTimeout)) // for the farewell too
	err := c.HandshakeContext(ctx)
	if err == nil {
		c.Close() // with close_notify, so that the CA has the whole answer
	}
	if hit != nil {
		hit(asked.String(), clientOf(conn), err == nil)
	}
}

func clientOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
