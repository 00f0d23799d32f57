// Package dial is the way out of the house: the one guarded HTTP client and
// dialer, and the way in for secrets that the configuration only refers to.
package dial

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Deps is what a plugin gets from the house.
type Deps struct {
	// Log is the plugin's own logger.
	Log *slog.Logger
	// HTTP is the guarded client, for URLs that came from data.
	HTTP *http.Client
	// Dial is the guarded dialer, for addresses that came from data.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolvers are asked where a plugin's own settings name none; empty for the
	// system's.
	Resolvers []string
}

// Deps hands a plugin the guarded ways out.
func (g *Guard) Deps(log *slog.Logger) Deps {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return Deps{Log: log, HTTP: g.Client(nil), Dial: g.Dial}
}

// The bounds of every guarded exchange.
const (
	ConnectTimeout = 10 * time.Second
	HeaderTimeout  = 30 * time.Second
	RequestTimeout = 60 * time.Second // the body included
	MaxRedirects   = 5
	MaxBody        = 8 << 20 // bytes
)
