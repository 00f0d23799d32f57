package compat

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
)

// Numbers. After a database of the older system was taken over, an object is known
// here by the number that it had there: what scripts, bookmarks and Redis hold goes
// on to mean the same. Inside, ids are ours; they are exchanged at the door, inwards
// where a route reads its path and its form, outwards where an answer leaves.
//
//   - An object with a former number is shown by it and found by it.
//   - One of ours whose id is not above the highest number there is shown, and found,
//     by its id and shadow: the number was, or may have been, another's.
//   - What did not come along is not found by its number.
//   - All others are known by their ids.
//   - Of versions and keys, numbers from content on are those of Redis layout 1.
const (
	shadow  = int64(1) << 40
	content = int64(1) << 41
)

// formers remembers for a moment which tenants have former numbers at all.
type formers struct {
	mu sync.Mutex
	of map[int64]formerState // guarded by mu; tenants are few
}

type formerState struct {
	has bool
	at  time.Time
}

// formerAge is how long it is believed that a tenant has none. Once one has some
// they stay.
const formerAge = time.Second

// renumbered reports whether the caller's tenant has former numbers.
func (c *call) renumbered() (bool, error) {
	tenant, f := c.tenant(), &c.h.formers
	f.mu.Lock()
	is, known := f.of[tenant]
	f.mu.Unlock()
	if is.has || known && time.Since(is.at) < formerAge {
		return is.has, nil
	}
	has, err := c.h.DB.HasFormer(c.ctx, tenant)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[int64]formerState{}
	}
	f.of[tenant] = formerState{has, time.Now()}
	return has, nil
}

func (c *call) tenant() int64 { return max(c.who.Tenant, certfleet.DefaultTenant) }

// inward is the id of the object of a kind that is known by a number.
func (c *call) inward(kind string, number int64) (int64, error) {
	if number >= content && byContent[kind] != nil {
		if id, err := byContent[kind](c.ctx, c, number); certfleet.KindOf(err) != certfleet.NotFound {
			return id, err
		}
	}
	has, err := c.renumbered()
	if err != nil || !has || number <= 0 {
		return number, err
	}
	if number >= shadow && number < content && !ofContent[kind] {
		return number - shadow, nil
	}
	is, err := c.h.DB.Former(c.ctx, c.tenant(), kind, number)
	if id, ok := is[number]; ok || err != nil || ofContent[kind] {
		return cmp.Or(id, number), err
	}
	highest, err := c.h.DB.HighestFormer(c.ctx, c.tenant(), kind)
	if err == nil && number <= highest {
		err = &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for it by its name: what had this number did not come along"}
	}
	return number, err
}

// ofContent are the kinds whose ids follow from their content: none of them is ever
// another's former number but by chance.
var ofContent = map[string]bool{"chain": true, "delegation": true}

// byContent finds what Redis layout 1 numbers by its content.
var byContent = map[string]func(ctx context.Context, c *call, number int64) (int64, error){
	"version": func(ctx context.Context, c *call, number int64) (int64, error) {
		v, err := c.h.DB.VersionByContent(ctx, c.tenant(), number)
		if err != nil {
			return 0, err
		}
		return v.ID, nil
	},
	"key": func(ctx context.Context, c *call, number int64) (int64, error) {
		k, err := c.h.DB.KeyByContent(ctx, c.tenant(), number)
		if err != nil {
			return 0, err
		}
		return k.ID, nil
	},
}

// outward is by what numbers the ids of objects of a kind are known, those that are
// known by another than their own.
func (c *call) outward(kind string, ids []int64) (map[int64]int64, error) {
	known, err := c.h.DB.FormerOf(c.ctx, c.tenant(), kind, ids...)
	if err != nil {
		return nil, err
	}
	if ofContent[kind] {
		return known, nil
	}
	highest, err := c.h.DB.HighestFormer(c.ctx, c.tenant(), kind)
	for _, id := range ids {
		if _, has := known[id]; !has && id > 0 && id <= highest {
			known[id] = id + shadow
		}
	}
	return known, err
}

// shown is by what number one object is known. An id that cannot be looked up stays
// as it is.
func (c *call) shown(kind string, id int64) int64 {
	has, err := c.renumbered()
	if err != nil || !has {
		return id
	}
	known, err := c.outward(kind, []int64{id})
	if n, ok := known[id]; ok && err == nil {
		return n
	}
	return id
}

// doors are the kinds of objects that paths begin with.
var doors = map[string]string{
	"acme-account": "account", "acme-server": "authority", "renewal-configuration": "certificate", "x509-certificate": "version", "domain": "domain",
	"enrollment-factory": "factory", "private-key": "key", "acme-dns-server-account": "delegation",
}

// formDoors are the fields of forms that hold numbers of objects.
var formDoors = map[string]string{
	"acme_account_id" + primary: "account", "acme_account_id" + second: "account", "acme_server_id": "authority",
}

// enter exchanges the numbers in a path.
func (c *call) enter(route string) error {
	first, _, _ := strings.Cut(strings.TrimPrefix(route, "/"), "/")
	for _, x := range []struct{ value, kind string }{{"id", doors[first]}, {"domain", "domain"}, {"chain", "chain"}} {
		said := c.q.PathValue(x.value)
		if said == "" || x.kind == "" {
			continue
		}
		number := said
		if strings.HasSuffix(route, "}") { // the ending is in it
			number = bare(said)
		}
		id, err := c.entered(x.kind, number)
		if err != nil {
			return err
		}
		if id != "" {
			c.q.SetPathValue(x.value, id+said[len(number):])
		}
	}
	return nil
}

// entered is the id for a number as text, empty for what is no number.
func (c *call) entered(kind, said string) (string, error) {
	n, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		return "", nil
	}
	id, err := c.inward(kind, n)
	return strconv.FormatInt(id, 10), err
}

// enterForm exchanges the numbers in a form.
func (c *call) enterForm(form map[string][]string) error {
	for field, kind := range formDoors {
		for i, said := range form[field] {
			id, err := c.entered(kind, strings.TrimSpace(said))
			if certfleet.KindOf(err) == certfleet.NotFound {
				return invalid("name another", field+": the item was not found")
			}
			if err != nil {
				return err
			}
			if id != "" {
				form[field][i] = id
			}
		}
	}
	return nil
}
