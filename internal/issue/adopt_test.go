package issue

import (
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

func TestNamesThatChangedDuringAnOrderAreOrderedAtOnce(t *testing.T) {
	t.Parallel()
	names, err := certfleet.ParseNames([]string{"a.example", "b.example"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	v := &certfleet.Version{Names: names[:1], NotBefore: now, NotAfter: now.Add(90 * 24 * time.Hour)}
	for _, c := range []struct {
		state certfleet.CertificateState
		names []certfleet.Name
		now   bool
		never bool
	}{
		{certfleet.Active, names[:1], false, false},
		{certfleet.Active, names, true, false},
		{certfleet.Paused, names, false, true},
		{certfleet.Removed, names[:1], false, true},
	} {
		cert := &certfleet.Certificate{State: c.state, Names: c.names}
		planRenewal(cert, v, now, 0)
		if cert.DueAt.Equal(now) != c.now || cert.DueAt.IsZero() != c.never {
			t.Errorf("%s with %d names is due %s (%s)", c.state, len(c.names), cert.DueAt, cert.DueReason)
		}
	}
}
