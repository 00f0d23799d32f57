package cli

import (
	"bytes"
	"testing"
)

// TestWhatTakesAWhileMayEndTwice is for commands that end it before they answer,
// and once more whichever way they return.
func TestWhatTakesAWhileMayEndTwice(t *testing.T) {
	var said bytes.Buffer
	p := &program{Streams: Streams{Err: &said}}
	b := p.busy("waiting")
	b.end()
	b.end()
	if said.Len() != 0 {
		t.Errorf("it says %q before a second has passed", said.String())
	}
}
