package dial

import (
	"fmt"
	"io"
)

// LimitBody reads from body up to max bytes; past them reading fails, so that a
// cut answer is never taken for a whole one.
func LimitBody(body io.ReadCloser, max int64) io.ReadCloser {
	return &limited{body: body, left: max, max: max}
}

type limited struct {
	body      io.ReadCloser
	left, max int64
}

// Read fails once more than the limit was there to read.
func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if int64(n) <= l.left {
		l.left -= int64(n)
		return n, err
	}
	n, l.left = int(l.left), 0
	return n, fmt.Errorf("read answer: longer than %d bytes", l.max)
}

// Close closes the body.
func (l *limited) Close() error { return l.body.Close() }
