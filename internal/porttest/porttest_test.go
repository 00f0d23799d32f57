package porttest

import "testing"

func TestAPortIsGivenOnceAtATime(t *testing.T) {
	seen := map[int]bool{}
	for range 300 {
		port, giveBack, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		defer giveBack()
		if seen[port] || port < lowest || port > highest {
			t.Fatalf("port %d was given before, or is out of range", port)
		}
		seen[port] = true
	}
}
