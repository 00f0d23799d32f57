package dnsq_test

import (
	"testing"

	"github.com/certfleet/certfleet/internal/dnsq"
)

func TestOwnResolversGoBeforeThoseOfTheHouse(t *testing.T) {
	house := []string{"192.0.2.53:53"}
	if c := (dnsq.Config{}).Or(house); len(c.Resolvers) != 1 || c.Resolvers[0] != house[0] {
		t.Errorf("without its own it asks %v", c.Resolvers)
	}
	if c := (dnsq.Config{Resolvers: []string{"198.51.100.53"}}).Or(house); c.Resolvers[0] != "198.51.100.53" {
		t.Errorf("with its own it asks %v", c.Resolvers)
	}
}
