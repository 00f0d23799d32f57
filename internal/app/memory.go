package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Collecting garbage as eagerly as Go does by itself took a tenth of the CPU of a
// certificate, because little is alive at a time. A node lets it grow to roomy
// bytes first, at most to mostRoom percent of what is alive, and is as eager as
// Go once more is alive than that.
const (
	roomy     = 64 << 20
	mostRoom  = 400
	leastRoom = 100
	weighed   = 10 * time.Second
)

// Ease sets how eagerly garbage is collected, again and again until ctx ends. An
// operator who sets GOGC is obeyed.
func Ease(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	tick := time.NewTicker(weighed)
	defer tick.Stop()
	for {
		debug.SetGCPercent(room(alive()))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// room is how much garbage may grow beside what is alive, in percent of it.
func room(alive uint64) int {
	return int(min(max(100*roomy/max(alive, 1), leastRoom), mostRoom))
}

// alive is how many bytes the last collection left.
func alive() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
