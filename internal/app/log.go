package app

import (
	"context"
	"io"
	"log/slog"

	"github.com/certfleet/certfleet/internal/config"
)

// Levels are what a log shows; they may change while it is written.
type Levels struct{ all, acme slog.LevelVar }

// Set takes the levels of a configuration over.
func (l *Levels) Set(c config.Log) {
	l.all.Set(c.Level)
	l.acme.Set(c.ACME)
}

// NewLog makes the log that a configuration asks for. What is said with a CA has
// the attribute log=acme and a level of its own.
func NewLog(w io.Writer, c config.Log) (*slog.Logger, *Levels) {
	l := &Levels{}
	l.Set(c)
	o := &slog.HandlerOptions{Level: slog.Level(-1 << 10)} // levelled decides
	var h slog.Handler = slog.NewTextHandler(w, o)
	if c.Format == "json" {
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(&levelled{h, &l.all, &l.acme}), l
}

// levelled lets through what its level says; the logger that carries log=acme
// goes by the other one.
type levelled struct {
	slog.Handler
	level, acme *slog.LevelVar
}

// Enabled reports whether the level is shown.
func (h *levelled) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs keeps the level, or takes that of the CA log.
func (h *levelled) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := &levelled{h.Handler.WithAttrs(attrs), h.level, h.acme}
	for _, a := range attrs {
		if a.Key == "log" && a.Value.String() == "acme" {
			out.level = h.acme
		}
	}
	return out
}

// WithGroup keeps the level.
func (h *levelled) WithGroup(name string) slog.Handler {
	return &levelled{h.Handler.WithGroup(name), h.level, h.acme}
}
