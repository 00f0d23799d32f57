// Package abreast does many small pieces of work in a few lanes side by side.
package abreast

import (
	"runtime"
	"sync"
)

// most bounds the lanes: what is done in them shares a disk and a lock sooner or later.
const most = 8

// Lanes is how many lanes are worth it for n pieces: one below few, else as many
// as there are processors.
func Lanes(n, few int) int {
	if n < max(few, 2) {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), most, n)
}

// Do calls do for each of n pieces and returns when all are done. The i-th piece is
// done in lane i modulo lanes, those of a lane one after the other in their order.
// A panic of a piece ends its lane, and is the caller's when the others are through.
func Do(n, lanes int, do func(lane, i int)) {
	if lanes <= 1 {
		for i := range n {
			do(0, i)
		}
		return
	}
	var all sync.WaitGroup
	broke := make(chan any, lanes)
	for lane := range lanes {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					broke <- p
				}
			}()
			for i := lane; i < n; i += lanes {
				do(lane, i)
			}
		})
	}
	all.Wait()
	select {
	case p := <-broke:
		panic(p)
	default:
	}
}
