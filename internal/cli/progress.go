package cli

import (
	"fmt"
	"sync"
	"time"
)

// busy tells that something takes a while, once it takes longer than a second:
// on a terminal in one line that changes, else in a line now and then. The
// returned set changes what is said, end takes the line away.
type busy struct {
	p    *program
	done chan struct{}
	once sync.Once // closes done
	gone sync.WaitGroup

	mu   sync.Mutex
	what string // guarded by mu
}

func (p *program) busy(format string, args ...any) *busy {
	b := &busy{p: p, done: make(chan struct{}), what: fmt.Sprintf(format, args...)}
	b.gone.Go(b.run)
	return b
}

func (b *busy) set(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.what = fmt.Sprintf(format, args...)
}

func (b *busy) says() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.what
}

// end returns when nothing is written any more; it may be called again.
func (b *busy) end() {
	b.once.Do(func() { close(b.done) })
	b.gone.Wait()
}

func (b *busy) run() {
	pause := 10 * time.Second
	if b.p.live {
		pause = 200 * time.Millisecond
	}
	start, wrote := time.Now(), false
	for wait := time.Second; ; wait = pause {
		select {
		case <-b.done:
			if wrote && b.p.live {
				fmt.Fprint(b.p.Err, "\r\x1b[K")
			}
			return
		case <-time.After(wait):
		}
		wrote = true
		b.write(time.Since(start))
	}
}

func (b *busy) write(since time.Duration) {
	line := fmt.Sprintf("%s … %s", cut(b.says(), 100), span(since))
	if b.p.live {
		fmt.Fprint(b.p.Err, "\r\x1b[K"+b.p.paint(faint, line))
		return
	}
	fmt.Fprintln(b.p.Err, line)
}
