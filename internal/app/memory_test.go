package app

import (
	"runtime"
	"testing"
)

func TestGarbageGrowsWhereLittleIsAlive(t *testing.T) {
	for _, c := range []struct {
		alive uint64
		want  int
	}{{0, 400}, {4 << 20, 400}, {32 << 20, 200}, {64 << 20, 100}, {1 << 30, 100}} {
		if got := room(c.alive); got != c.want {
			t.Errorf("with %d bytes alive garbage may grow by %d %%, want %d", c.alive, got, c.want)
		}
	}
	runtime.GC()
	if alive() == 0 {
		t.Error("nothing is alive: the runtime names its live heap otherwise")
	}
}
