package sftp

import (
	"os"
	"testing"

	"github.com/certfleet/certfleet/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Run(m)) }
