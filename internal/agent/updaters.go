package agent

import (
	"log/slog"
	"net/http"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
	"github.com/certfleet/certfleet/internal/updater/plugins"
)

// items builds the list of updaters. Their addresses come from this machine's
// own configuration, so nothing guards them.
func items(sections config.Sections, log *slog.Logger) ([]updater.Item, error) {
	return plugins.Items(sections, dial.Deps{Log: log, HTTP: http.DefaultClient})
}
