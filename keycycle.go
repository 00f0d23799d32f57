package certfleet

import (
	"fmt"
	"slices"
	"strings"
)

// KeyCycle says how long a private key is kept, and by how many certificates.
type KeyCycle string

// The key cycles. Days and weeks are those of UTC and of ISO 8601. The empty
// cycle is single_use, or what ReuseKey says.
const (
	KeySingleUse      KeyCycle = "single_use"                   // a new key for every order
	KeyReuseYear      KeyCycle = "single_use__reuse_1_year"     // a certificate's own key, for a year
	KeyAccountDaily   KeyCycle = "account_daily"                // one key a day for all orders of an account
	KeyAccountWeekly  KeyCycle = "account_weekly"               // one key a week for all orders of an account
	KeyGlobalDaily    KeyCycle = "global_daily"                 // one key a day for all orders
	KeyGlobalWeekly   KeyCycle = "global_weekly"                // one key a week for all orders
	KeyAccountDefault KeyCycle = "account_default"              // as the account says
	KeySystemDefault  KeyCycle = "system_configuration_default" // as the global default policy says
)

// KeyCycles are all of them.
var KeyCycles = []KeyCycle{KeySingleUse, KeyReuseYear, KeyAccountDaily, KeyAccountWeekly, KeyGlobalDaily, KeyGlobalWeekly, KeyAccountDefault, KeySystemDefault}

// ParseKeyCycle reads an operator's word; empty stays empty.
func ParseKeyCycle(s string) (KeyCycle, error) {
	c := KeyCycle(strings.ToLower(strings.TrimSpace(s)))
	if c == "" || slices.Contains(KeyCycles, c) {
		return c, nil
	}
	var words []string
	for _, k := range KeyCycles {
		words = append(words, string(k))
	}
	return "", &Error{Kind: Invalid, Msg: fmt.Sprintf("key cycle %q is not known", s), Advice: "use one of " + strings.Join(words, ", ")}
}

// AccountDefaults are what orders with an account are like where their policy
// leaves it to the account. Empty fields say nothing.
type AccountDefaults struct {
	KeyCycle KeyCycle
	KeyType  KeyType
	Profile  string
}

// ProfileOfAccount is the profile of a policy that leaves it to the account.
const ProfileOfAccount = "@"

// Purpose is what a default policy is for.
type Purpose string

// The purposes that have a default policy of their own. Global says besides what
// system_configuration_default means.
const (
	PurposeGlobal   Purpose = "global"
	PurposeAutocert Purpose = "autocert"
	PurposeIfNeeded Purpose = "certificate-if-needed"
)

// Purposes are all of them.
var Purposes = []Purpose{PurposeGlobal, PurposeAutocert, PurposeIfNeeded}
