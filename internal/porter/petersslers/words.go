package petersslers

import "github.com/certfleet/certfleet"

// The numbers of peter_sslers' enumerations, as far as they are read.
var (
	technologies = map[int64]certfleet.KeyType{0: "", 1: certfleet.RSA2048, 2: certfleet.RSA3072, 3: certfleet.RSA4096, 4: certfleet.P256, 5: certfleet.P384, 99: ""}
	cycles       = map[int64]certfleet.KeyCycle{1: certfleet.KeyAccountDefault, 2: certfleet.KeySingleUse, 3: certfleet.KeyAccountDaily, 4: certfleet.KeyGlobalDaily,
		5: certfleet.KeyAccountWeekly, 6: certfleet.KeyGlobalWeekly, 7: certfleet.KeyReuseYear, 8: certfleet.KeySystemDefault}
	challenges = map[int64]certfleet.ChallengeType{1: certfleet.HTTP01, 2: certfleet.DNS01, 3: certfleet.TLSALPN01}
	strategies = map[int64]certfleet.DuplicateStrategy{0: "", 1: certfleet.NoDuplicates, 2: certfleet.HTTP01ThenDNS, 3: certfleet.DNS01ThenHTTP}
)

// systemDefault is the key technology that the system configuration says.
const systemDefault = 99

// The roles of certificates.
const (
	Imported = 1 // it came from elsewhere, and no order is known
	Primary  = 2
	Backup   = 3
)
