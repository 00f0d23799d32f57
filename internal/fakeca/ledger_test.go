package fakeca_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/plan"
	"github.com/certfleet/certfleet/internal/trial"
)

// customer is one certificate of a small fleet that does many things wrong.
type customer struct {
	names  []certfleet.Name
	issued bool // this set was issued before
	ari    string
	window plan.Window
}

// fleet orders as the planner's ledger says, or without asking it.
type fleet struct {
	*kit
	r       *rand.Rand
	book    *plan.Book
	buckets map[plan.Key]plan.Bucket
	asks    bool
	done    int
	held    int
}

// attempt is one order from the question to the settlement.
func (f *fleet) attempt(c *customer) {
	f.Helper()
	a := plan.Asking{Account: f.acct.URL, Names: c.names, SameSet: c.issued, InWindow: c.ari != "" && c.window.Holds(f.now())}
	touches := f.book.Touches(a)
	if f.asks {
		next := map[plan.Key]plan.Bucket{}
		for _, t := range touches {
			b, ok, at := t.Open(f.buckets[t.Key], f.now())
			if !ok {
				if !at.After(f.now()) {
					f.Fatalf("%s is full, but free again at %s", t.Key, at)
				}
				f.held++
				return
			}
			next[t.Key] = b
		}
		for k, b := range next {
			f.buckets[k] = b
		}
	}
	happened := f.place(c)
	for _, t := range touches {
		f.buckets[t.Key] = t.Close(f.buckets[t.Key], f.now(), happened[t.When])
	}
}

// place is the order itself; the CA's clock goes on meanwhile.
func (f *fleet) place(c *customer) map[plan.When]bool {
	happened := map[plan.When]bool{}
	f.pass(time.Duration(f.r.IntN(20)) * time.Second)
	o, err := f.client.NewOrder(f.Context(), f.acct, acme.OrderRequest{Names: c.names, Replaces: c.ari, Profile: "shortlived"})
	if err != nil {
		if f.asks {
			f.Fatalf("%v is refused at %s: %v", c.names, f.now(), err)
		}
		return happened
	}
	happened[plan.Asked] = true
	for _, z := range f.answer(o) {
		happened[plan.Failed] = happened[plan.Failed] || z.Status == "invalid"
	}
	f.pass(time.Duration(f.r.IntN(90)) * time.Second)
	if happened[plan.Failed] {
		return happened
	}
	if o, err = f.client.Finalize(f.Context(), f.acct, o.Finalize, csr(f, newKey(f), c.names)); err != nil {
		f.Fatal(err)
	}
	chains, err := f.client.Certificate(f.Context(), f.acct, o.Certificate)
	if err != nil {
		f.Fatal(err)
	}
	happened[plan.Issued] = true
	c.ari = ariID(f, parse(f, chains[0])[0])
	w, err := f.client.RenewalInfo(f.Context(), c.ari)
	if err != nil {
		f.Fatal(err)
	}
	c.issued, c.window = true, plan.Window{Start: w.Start, End: w.End}
	f.done++
	return happened
}

// run lets 240 impatient customers, most of one domain and the seventh of ten
// hopeless, order for some weeks.
func run(t *testing.T, asks bool) *fleet {
	orders := plan.Limit{Name: plan.NewOrders, Count: 20, Period: 3 * hour}
	r := rand.New(rand.NewPCG(11, 12))
	k := start(t, fakeca.Options{Trusting: true, Limits: fakeca.LetsEncrypt(), Lean: true, Validate: func(_ ctx, v fakeca.Validation) error {
		if strings.HasPrefix(v.Name, "n") && strings.Contains(v.Name, "7.") {
			return fmt.Errorf("%s does not point here", v.Name)
		}
		return nil
	}})
	k.ca.Grant(fakeca.Override{Account: k.acct.URL, Limit: fakeca.Limit{Name: fakeca.NewOrders, Count: 20, Period: 3 * hour}})
	book := plan.NewBook("letsencrypt", []plan.Override{{Account: k.acct.URL, Limit: orders}})
	f := &fleet{kit: k, r: r, book: book, buckets: map[plan.Key]plan.Bucket{}, asks: asks}
	var customers []*customer
	for i := range 240 {
		list := []string{fmt.Sprintf("n%d.platform.example", i)}
		if i%6 == 0 {
			list = []string{host(i), "api." + host(i)}
		}
		customers = append(customers, &customer{names: names(t, list...)})
	}
	for range 1200 {
		c := customers[r.IntN(len(customers))]
		if r.IntN(4) == 0 {
			c = customers[7+4*r.IntN(2)]
		}
		switch wait := c.window.Start.Sub(f.now()); {
		case r.IntN(40) == 0 && wait > 0: // until the middle of its window
			f.pass(wait + c.window.End.Sub(c.window.Start)/2)
		case r.IntN(30) == 0:
			f.pass(time.Duration(r.IntN(10)) * hour)
		}
		f.attempt(c)
	}
	return f
}

// TestTheLedgerNeverMeetsALimit lets the planner's copy of the limits and the
// CA's own count the same orders.
func TestTheLedgerNeverMeetsALimit(t *testing.T) {
	f := run(t, true)
	if b := f.ca.Breaches(); len(b) != 0 {
		t.Errorf("breaches %+v", b)
	}
	s := f.ca.Stats()
	if f.done < 200 || f.held < 100 || s.InWindow < 10 || s.Late < 10 || s.Early < 10 {
		t.Errorf("%d issued, %d held back, %+v: this proves little", f.done, f.held, s)
	}
}

func TestWithoutTheLedgerLimitsAreMet(t *testing.T) {
	trial.InFull(t)
	f := run(t, false)
	want := []string{fakeca.PerDomain, fakeca.PerSet, fakeca.FailedValidations, fakeca.NewOrders}
	if got := breached(f.ca); !slices.Equal(got, want) {
		t.Errorf("met %v, want %v", got, want)
	}
}
