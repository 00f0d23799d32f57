package app

import (
	"log/slog"
	"os"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/store"
)

// ReadOnly prepares c and the options for a node that only shows the database in
// file. It needs no sealing key: nothing is opened.
func ReadOnly(c *config.Config, file string, log *slog.Logger) (Options, error) {
	if _, err := os.Stat(file); err != nil && !store.IsPostgres(file) {
		return Options{}, &certfleet.Error{Kind: certfleet.NotFound, Msg: "open " + file, Advice: "name a database file, such as one that certfleet backup made", Err: err}
	}
	none, err := keeper.Generate()
	if err != nil {
		return Options{}, err
	}
	c.Database = config.Database(file)
	return Options{Log: log, ReadOnly: true, Keeper: none}, nil
}
