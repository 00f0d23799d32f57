package acmedns

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// Health asks the configured server whether it is well (GET /health).
func (s *Solver) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.config.Timeout))
	defer cancel()
	server := strings.TrimSuffix(s.config.Server, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/health", nil)
	if err != nil {
		return fmt.Errorf("ask acme-dns server for its health: %w", err)
	}
	req.Header.Set("User-Agent", certfleet.UserAgent)
	resp, err := s.http.Do(req)
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: "ask acme-dns server " + server + " for its health", Advice: "check that its API can be reached from here", Err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read what acme-dns server %s answered for its health: %w", server, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(server, "health", resp.StatusCode, answer)
	}
	return nil
}
