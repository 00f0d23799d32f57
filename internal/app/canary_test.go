package app_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/store"
)

// TestCheckWarnsOfACanaryThatNothingProves hands a version to a canary at which
// nobody looks, and asks what check says to what the canary said.
func TestCheckWarnsOfACanaryThatNothingProves(t *testing.T) {
	t.Parallel()
	for state, warns := range map[certfleet.DeliveryState]bool{certfleet.DeliveryDue: false, certfleet.DeliverySent: true, certfleet.DeliveryApplied: false} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			c := manager(t)
			a := open(t, c)
			ctx := t.Context()
			err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
				name, _ := certfleet.ParseName("shop.example")
				p := &certfleet.Policy{Label: "other"}
				g := &certfleet.StoredTarget{Label: "plug", Type: "exec", Spec: []byte(`{"command": ["/bin/true"]}`), Pace: certfleet.Pace{Group: "web", Canary: true}}
				if err := errors.Join(tx.AddPolicy(ctx, p), tx.AddTarget(ctx, g)); err != nil {
					return err
				}
				cert := &certfleet.Certificate{Label: "shop", Names: []certfleet.Name{name}, PolicyID: p.ID, Targets: []string{"plug"}}
				if err := tx.AddCertificate(ctx, cert, "operator"); err != nil {
					return err
				}
				v := &certfleet.Version{CertificateID: cert.ID, Origin: "imported", Names: cert.Names, Serial: "1", Fingerprint: "f", NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), ChainPEM: []byte("-")}
				if err := tx.AddVersion(ctx, v, nil); err != nil {
					return err
				}
				if err := tx.WantDeliveries(ctx, v); err != nil {
					return err
				}
				d, err := tx.DeliveryHere(ctx, 1, g.ID, "shop")
				if err != nil {
					return err
				}
				d.State = state
				return tx.SaveDelivery(ctx, d)
			})
			if err != nil {
				t.Fatal(err)
			}
			a.Close()
			found := app.Check(ctx, c.Path)
			i := slices.IndexFunc(found, func(f app.Finding) bool { return f.Check == "canary plug" })
			if i >= 0 != warns {
				t.Fatalf("check says %+v", found)
			}
			if warns && (found[i].State != app.CheckWarn || !strings.Contains(found[i].Advice, "--probe") || !strings.Contains(found[i].Advice, "applied")) {
				t.Errorf("check says %+v", found[i])
			}
		})
	}
}
