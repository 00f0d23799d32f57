package pebble

import (
	"os"
	"strconv"
	"sync"
)

// env guards the process environment: Pebble's constructors read their settings
// from there and from nowhere else.
var env sync.Mutex

// withEnv runs f with vars set and restores the environment afterwards.
func withEnv(vars map[string]string, f func()) {
	env.Lock()
	defer env.Unlock()
	for name, value := range vars {
		old, had := os.LookupEnv(name)
		os.Setenv(name, value)
		defer func() {
			if had {
				os.Setenv(name, old)
				return
			}
			os.Unsetenv(name)
		}()
	}
	f()
}

func (o Options) frontEnv() map[string]string {
	return map[string]string{
		"PEBBLE_WFE_NONCEREJECT":     strconv.Itoa(o.NonceReject),
		"PEBBLE_AUTHZREUSE":          strconv.Itoa(o.AuthzReuse),
		"PEBBLE_WFE_ORDERS_PER_PAGE": strconv.Itoa(o.OrdersPerPage),
	}
}

func (o Options) validatorEnv() map[string]string {
	always := ""
	if o.AlwaysValid {
		always = "1"
	}
	return map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_VA_ALWAYS_VALID": always}
}
