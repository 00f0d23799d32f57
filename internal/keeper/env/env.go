// Package env takes the sealing key from an environment variable, for
// containers whose platform keeps secrets there.
package env

import (
	"fmt"
	"os"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keeper"
)

// Open reads the sealing key from the variable called name, in the text form
// that the keeper file writes. The variable stays set, so that a reload can
// read it again: whoever starts a child process must not pass it on.
func Open(name string) (*keeper.Key, error) {
	text := os.Getenv(name)
	if text == "" {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: fmt.Sprintf("the environment variable %s is empty or not set", name),
			Advice: "set it to the sealing key, one line that begins with " + keeper.Prefix}
	}
	key, err := keeper.Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the sealing key in %s: %w", name, err)
	}
	return key, nil
}
