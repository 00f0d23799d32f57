package web

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestARepeatThatComesMeanwhileDoesNothingTwice(t *testing.T) {
	k := newKit(t)
	s := &server{Deps: Deps{DB: k.db}}
	var did atomic.Int64
	begun, goOn := make(chan struct{}), make(chan struct{})
	do := func() (int64, error) {
		n := did.Add(1)
		if n == 1 {
			close(begun)
		}
		<-goOn
		return n, nil
	}
	var all sync.WaitGroup
	ask := func(key string, want int64) {
		all.Go(func() {
			got, err := remembered(t.Context(), s, "test", &makeOne[string]{Key: key, Body: "the same"}, do)
			if err != nil || got.Body != want {
				t.Errorf("key %s: %+v, %v; want %d", key, got, err, want)
			}
		})
	}
	ask("one", 1)
	<-begun
	ask("one", 1)
	time.Sleep(50 * time.Millisecond)
	close(goOn)
	all.Wait()
	ask("one", 1)
	all.Wait()
	ask("two", 2)
	all.Wait()
	if n := did.Load(); n != 2 {
		t.Errorf("done %d times for two keys", n)
	}
}
