package certfleet

import "time"

// BackupSpec says from where the second certificate of a certificate comes: from
// another CA, with a key of its own. It is kept warm and served only when it is
// flipped to.
type BackupSpec struct {
	// Authority by label; another CA than the policy's first.
	Authority string `json:"authority"`
	// Profile, KeyType and KeyCycle are as in PolicySpec.
	Profile  string   `json:"profile,omitempty"`
	KeyType  KeyType  `json:"key_type,omitempty"`
	KeyCycle KeyCycle `json:"key_cycle,omitempty"`
}

// ForBackup is the policy of backup orders, nil when it wants none.
func (p *Policy) ForBackup() *Policy {
	b := p.Spec.Backup
	if b == nil {
		return nil
	}
	out := *p
	out.Spec = PolicySpec{Authorities: []string{b.Authority}, Profile: b.Profile, KeyType: b.KeyType, KeyCycle: b.KeyCycle, Challenge: p.Spec.Challenge, Solver: p.Spec.Solver}
	return &out
}

// Backup is how the second certificate of a Certificate stands.
type Backup struct {
	ID            int64
	Tenant        int64
	CertificateID int64

	DueAt     time.Time // when its next order opens; zero while one is open or none is wanted
	DueReason string
	Lane      Lane
	Failures  int
	Problem   string
	Advice    string
	FailedAt  time.Time
	VersionID int64 // the newest version that was got
	NotAfter  time.Time
	FlippedAt time.Time // since when it is delivered in place of the primary; zero for not
	Rev       int64
}

// Flipped reports whether the backup is what is delivered.
func (b *Backup) Flipped() bool { return b != nil && !b.FlippedAt.IsZero() }
