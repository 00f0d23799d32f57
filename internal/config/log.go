package config

import (
	"fmt"
	"log/slog"
)

// String is the configuration in a line, without any secret.
func (c Config) String() string {
	return fmt.Sprintf("config %s: database=%s state_dir=%s api=%s http01=%s tlsalpn01=%s solvers=%d",
		c.Path, c.shownDatabase(), c.StateDir, c.Listen.API, c.Listen.HTTP01, c.Listen.TLSALPN01, len(c.Solvers))
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// LogValue is String as attributes, for slog.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("path", c.Path),
		slog.String("database", c.shownDatabase().String()),
		slog.String("state_dir", c.StateDir),
		slog.String("api", string(c.Listen.API)),
		slog.String("http01", string(c.Listen.HTTP01)),
		slog.String("tlsalpn01", string(c.Listen.TLSALPN01)),
		slog.Int("solvers", len(c.Solvers)),
	)
}

func (c Config) shownDatabase() Database {
	if c.Database == "" {
		return c.DefaultDatabase()
	}
	return c.Database
}
