package trial

import (
	"flag"
	"os"
	"testing"
)

// waiting is how many tests of a package run at a time where they mostly wait.
const waiting = "8"

// Run is testing's M.Run for packages whose parallel tests wait for others more
// than they compute: more of them run at a time than there are cores, unless
// -parallel or GOMAXPROCS says otherwise.
func Run(m *testing.M) int {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue && os.Getenv("GOMAXPROCS") == "" {
		f.Value.Set(waiting) // a number is a number
	}
	return m.Run()
}
