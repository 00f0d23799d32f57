package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

func TestSearchFindsByEachField(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		f.addCertificate(t, db, "wild", "*.a-b.example.org", "192.0.2.7", "2001:db8::7")
		by9 := f.issuedBy(t, db, "E9", "CN=E9,O=Let's Encrypt,C=US")
		for _, c := range []struct{ what, field string }{
			{"5ef00d", "serial"}, {" 5E:F0:0D ", "serial"}, {"F0:0D", "fingerprint"}, {"aa 00", "spki"}, {"CN=R11", "issuer"},
			{"CN=shop.example.com", "subject"}, {"id.f00d", "ari"}, {"shop.example.com", "name"}, {"SHOP", "name"}, {"exam", "name"},
			{"a-b", "name"}, {"b.example.org", "name"}, {"*.a-b", "name"}, {"192.0", "name"}, {"2001:db8", "name"},
			{"nothing", ""}, {"%", ""}, {"'", ""}, {"hop", "name"}, {"mple.o", "name"}, {"ho", ""}, {"h%p", ""}, {"h_p", ""}, {"", ""}, {"  ", ""},
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
		for what, want := range map[string]bool{"let's encrypt": true, "Let’s  Encr": true, "lets encrypt": true, "encrypt": true, "E9": true, "o=let": true, "cn=e9": true, "E": true, "9": false, "crypt": false, "R11": false, "%": false} {
			hits, err := db.Search(t.Context(), 0, what, 10)
			by := slices.ContainsFunc(hits, func(h store.Hit) bool { return h.VersionID == by9.ID && h.Field == "issuer" && h.Value == "E9" })
			list, _, bad := db.Certificates(t.Context(), store.CertificateFilter{Issuer: what})
			if err != nil || bad != nil || by != want || (len(list) == 1) != want {
				t.Errorf("%q finds %+v, %v and lists %d, %v; want %v", what, hits, err, len(list), bad, want)
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
		third := f.addCertificate(t, db, "third", "*.example.com")
		list, err = db.CertificatesOf(t.Context(), 0, name(t, "www.example.com"), name(t, "*.example.com"), name(t, "shop.example.com"))
		if err != nil || len(list) != 3 || list[0].ID != second.ID || list[1].ID != third.ID || list[2].ID != f.cert.ID || list[1].Policy != "default" {
			t.Errorf("got %+v, %v; want those of the first name first, and each once", list, err)
		}
	})
}

// issuedBy makes a certificate with a version in use of an issuer.
func (f *fleet) issuedBy(t *testing.T, db *store.DB, issuer, name string) *certfleet.Version {
	t.Helper()
	c := f.addCertificate(t, db, "by-"+issuer, "by.example.net")
	v := &certfleet.Version{CertificateID: c.ID, Names: c.Names, Fingerprint: "by" + issuer, Issuer: issuer, IssuerName: name}
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AddVersion(ctx, v, nil); err != nil {
			return err
		}
		c.VersionID = v.ID
		return tx.SaveCertificate(ctx, c)
	})
	return v
}
