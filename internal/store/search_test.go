package store_test

import (
	"context"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestSearchFindsByEachField(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		f.addCertificate(t, db, "wild", "*.a-b.example.org", "192.0.2.7", "2001:db8::7")
		for _, c := range []struct{ what, field string }{
			{"5ef00d", "serial"}, {" 5E:F0:0D ", "serial"}, {"F0:0D", "fingerprint"}, {"aa 00", "spki"}, {"CN=R11", "issuer"},
			{"CN=shop.example.com", "subject"}, {"id.f00d", "ari"}, {"shop.example.com", "name"}, {"SHOP", "name"}, {"exam", "name"},
			{"a-b", "name"}, {"b.example.org", "name"}, {"*.a-b", "name"}, {"192.0", "name"}, {"2001:db8", "name"},
			{"nothing", ""}, {"%", ""}, {"'", ""}, {"hop", ""}, {"", ""}, {"  ", ""},
		} {
			hits, err := db.Search(t.Context(), 0, c.what, 10)
			if err != nil {
				t.Errorf("%q: %v", c.what, err)
				continue
			}
			switch {
			case c.field == "" && len(hits) != 0:
				t.Errorf("%q finds %+v, want nothing", c.what, hits)
			case c.field != "" && (len(hits) == 0 || hits[0].Field != c.field || hits[0].CertificateID == 0):
				t.Errorf("%q finds %+v, want a %s", c.what, hits, c.field)
			}
		}
		if hits, err := db.Search(t.Context(), 0, "example", 2); err != nil || len(hits) != 2 {
			t.Errorf("a search for two finds %d, %v", len(hits), err)
		}
		if hits, err := db.Search(t.Context(), 7, "CN=R11", 2); err != nil || len(hits) != 0 {
			t.Errorf("another tenant finds %+v, %v", hits, err)
		}
	})
}

func TestCertificatesOfANameListRemovedOnesLast(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		second := f.addCertificate(t, db, "second", "shop.example.com", "www.example.com")
		f.cert.State = certfleet.Removed
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SaveCertificate(ctx, &f.cert) })
		list, err := db.CertificatesOf(t.Context(), 0, name(t, "shop.example.com"))
		if err != nil || len(list) != 2 || list[0].ID != second.ID || list[1].ID != f.cert.ID || list[0].Policy != "default" {
			t.Errorf("got %+v, %v; want the second, then the removed one", list, err)
		}
	})
}
