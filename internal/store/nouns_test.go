package store_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// fill sets every zero field of a noun to something that is not zero.
func fill[T any](t testing.TB, v *T, keep ...string) *T {
	t.Helper()
	rv := reflect.ValueOf(v).Elem()
	for i := range rv.NumField() {
		f, what := rv.Field(i), rv.Type().Field(i).Name
		if !f.IsZero() || slices.Contains(keep, what) {
			continue
		}
		switch f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(now.Add(time.Duration(i+1) * time.Hour)))
			continue
		case certfleet.Name:
			f.Set(reflect.ValueOf(name(t, "filled.example.com")))
			continue
		case []certfleet.Name:
			f.Set(reflect.ValueOf([]certfleet.Name{name(t, "filled.example.com"), name(t, "*.example.org"), name(t, "2001:db8::7")}))
			continue
		case certfleet.Pace:
			f.Set(reflect.ValueOf(certfleet.Pace{Group: "web", Canary: true, PushMode: certfleet.PushSerial, Concurrency: 3, Rate: 7}))
			continue
		case certfleet.PolicySpec:
			f.Set(reflect.ValueOf(certfleet.PolicySpec{Authorities: []string{"ca"}, Validity: certfleet.Duration(time.Hour), ReuseKey: true}))
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("filled-" + what + "x")
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(100 + i))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Map:
			f.Set(reflect.ValueOf(certfleet.Labels{"team": "a b'c", "env": ""}))
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.Uint8 {
				f.SetBytes([]byte{0, 1, 0xff, '\n'})
			} else {
				s := reflect.MakeSlice(f.Type(), 2, 2)
				s.Index(0).SetString("one")
				s.Index(1).SetString("two, \"three\"")
				f.Set(s)
			}
		default:
			t.Fatalf("field %s has kind %v: teach fill", what, f.Kind())
		}
	}
	return v
}

// trip stores a noun and reads it back; save, if any, changes it in between.
type trip struct {
	noun string
	run  func(t *testing.T, db *store.DB, f *fleet) (want, got any)
}

// there writes v and reads it by its id.
func there[T any](t *testing.T, db *store.DB, v *T, put func(ctx context.Context, tx *store.Tx, v *T) error, get func(context.Context, int64) (*T, error)) (want, got any) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, v) })
	back, err := get(t.Context(), reflect.ValueOf(v).Elem().FieldByName("ID").Int())
	if err != nil {
		t.Fatal(err)
	}
	return *v, *back
}

var trips = []trip{
	{"authority zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Authority{}, func(ctx context.Context, tx *store.Tx, v *certfleet.Authority) error { return tx.AddAuthority(ctx, v) }, db.Authority)
	}},
	{"authority full", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, fill(t, &certfleet.Authority{Tenant: 1}, "ID"), func(ctx context.Context, tx *store.Tx, v *certfleet.Authority) error { return tx.AddAuthority(ctx, v) }, db.Authority)
	}},
	{"authority saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, fill(t, &certfleet.Authority{ID: f.authority.ID, Tenant: 1, Label: "ca"}), func(ctx context.Context, tx *store.Tx, v *certfleet.Authority) error { return tx.SaveAuthority(ctx, v) }, db.Authority)
	}},
	{"account zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Account{AuthorityID: f.authority.ID}, func(ctx context.Context, tx *store.Tx, v *certfleet.Account) error { return tx.AddAccount(ctx, v) }, db.Account)
	}},
	{"account saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Account{ID: f.account.ID, Tenant: 1, AuthorityID: f.authority.ID, KeyID: f.key.ID, NextKeyID: f.key.ID}, "Rev")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Account) error { return tx.SaveAccount(ctx, v) }, db.Account)
	}},
	{"policy zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Policy{}, func(ctx context.Context, tx *store.Tx, v *certfleet.Policy) error { return tx.AddPolicy(ctx, v) }, db.Policy)
	}},
	{"policy saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, fill(t, &certfleet.Policy{ID: f.policy.ID, Tenant: 1, Label: "default"}), func(ctx context.Context, tx *store.Tx, v *certfleet.Policy) error { return tx.SavePolicy(ctx, v) }, db.Policy)
	}},
	{"key zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Key{}, func(ctx context.Context, tx *store.Tx, v *certfleet.Key) error { return tx.AddKey(ctx, v) }, db.Key)
	}},
	{"key full", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, fill(t, &certfleet.Key{Tenant: 1, ReplacesKeyID: f.key.ID}, "ID", "DataKeyID"), func(ctx context.Context, tx *store.Tx, v *certfleet.Key) error { return tx.AddKey(ctx, v) }, db.Key)
	}},
	{"target zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.StoredTarget{}, func(ctx context.Context, tx *store.Tx, v *certfleet.StoredTarget) error { return tx.AddTarget(ctx, v) }, db.Target)
	}},
	{"target saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.StoredTarget{ID: f.target.ID, Tenant: 1, Spec: []byte(`{"dir":"/etc/ü"}`)}, "Rev")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.StoredTarget) error { return tx.SaveTarget(ctx, v) }, db.Target)
	}},
	{"certificate zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Certificate{PolicyID: f.policy.ID, Policy: "default"}, func(ctx context.Context, tx *store.Tx, v *certfleet.Certificate) error {
			return tx.AddCertificate(ctx, v, "")
		}, db.Certificate)
	}},
	{"certificate saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Certificate{ID: f.cert.ID, Tenant: 1, PolicyID: f.policy.ID, Policy: "default", Targets: []string{"edge-1"}}, "Rev")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Certificate) error {
			return tx.SaveCertificate(ctx, v)
		}, db.Certificate)
	}},
	{"certificate replaced", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Certificate{ID: f.cert.ID, Tenant: 1, PolicyID: f.policy.ID, Policy: "default"}, "Rev", "Targets")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Certificate) error {
			return tx.ReplaceCertificate(ctx, v, "operator")
		}, db.Certificate)
	}},
	{"domain saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		d, err := db.Domain(t.Context(), 0, f.cert.Names[0])
		if err != nil || d.Registered != "example.com" || d.Source != "operator" || !d.CreatedAt.Equal(now) {
			t.Fatalf("domain of the certificate: %+v, %v", d, err)
		}
		return there(t, db, fill(t, d), func(ctx context.Context, tx *store.Tx, v *certfleet.Domain) error { return tx.SaveDomain(ctx, v) }, db.DomainByID)
	}},
	{"order zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		o := f.newOrder(f.cert.ID)
		o.Slot, o.Lane = "", 0
		return there(t, db, o, func(ctx context.Context, tx *store.Tx, v *certfleet.Order) error { return tx.AddOrder(ctx, v) }, db.Order)
	}},
	{"order saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Order{ID: f.order.ID, Tenant: 1, CertificateID: f.cert.ID, AuthorityID: f.authority.ID, AccountID: f.account.ID, KeyID: f.key.ID}, "Rev")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Order) error { return tx.SaveOrder(ctx, v) }, db.Order)
	}},
	{"version zero", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		return there(t, db, &certfleet.Version{}, func(ctx context.Context, tx *store.Tx, v *certfleet.Version) error { return tx.AddVersion(ctx, v, nil) }, db.Version)
	}},
	{"version saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Version{ID: f.version.ID, Tenant: 1, CertificateID: f.cert.ID, OrderID: f.order.ID, KeyID: f.key.ID}, "Rev", "IssuerName")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Version) error { return tx.SaveVersion(ctx, v) }, db.Version)
	}},
	{"authorization full", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		full := fill(t, &certfleet.Authorization{OrderID: f.order.ID, SeenAt: now}, "ID")
		return there(t, db, full, func(ctx context.Context, tx *store.Tx, v *certfleet.Authorization) error {
			return tx.SeeAuthorization(ctx, v)
		}, db.Authorization)
	}},
	{"delivery saved", func(t *testing.T, db *store.DB, f *fleet) (any, any) {
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantDeliveries(ctx, &f.version) })
		d := deliveryOf(t, db, f.version.ID)
		d.Target = ""
		return there(t, db, fill(t, d, "Target", "Rev"), func(ctx context.Context, tx *store.Tx, v *certfleet.Delivery) error {
			v.Rev = 0
			return tx.SaveDelivery(ctx, v)
		}, db.Delivery)
	}},
}

func TestNounsComeBackAsTheyWereStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, trip := range trips {
			t.Run(trip.noun, func(t *testing.T) {
				wipe(t, db)
				want, got := trip.run(t, db, newFleet(t, db))
				if !same(want, got) {
					t.Errorf("stored %+v\n   got %+v", want, got)
				}
			})
		}
	})
}

// wipe empties the store, so that one database serves many cases.
func wipe(t testing.TB, db *store.DB) {
	t.Helper()
	if err := store.Clear(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}
