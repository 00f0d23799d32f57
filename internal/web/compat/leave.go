package compat

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// leave exchanges the ids in an answer for the numbers by which objects are known.
// Where no database was taken over the answer stays as it is.
func (c *call) leave(v any) (any, error) {
	if c.who == nil { // it was turned away at the door
		return v, nil
	}
	if _, is := v.(about); is {
		return v, nil
	}
	has, err := c.renumbered()
	if err != nil || !has {
		return v, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	ids := idsIn{}
	walk("", tree, ids.note)
	known := map[string]map[int64]int64{}
	for kind, of := range ids {
		if known[kind], err = c.outward(kind, slices.Collect(maps.Keys(of))); err != nil {
			return nil, err
		}
	}
	return walk("", tree, func(kind string, id int64) int64 {
		if n, ok := known[kind][id]; ok {
			return n
		}
		return id
	}), nil
}

// idsIn are the ids in an answer, by kind.
type idsIn map[string]map[int64]bool

func (in idsIn) note(kind string, id int64) int64 {
	if in[kind] == nil {
		in[kind] = map[int64]bool{}
	}
	in[kind][id] = true
	return id
}

// kindsOfObjects are the kinds of objects by the key under which they stand, alone
// or as lists.
var kindsOfObjects = map[string]string{
	"AcmeAccount": "account", "AcmeServer": "authority", "RenewalConfiguration": "certificate", "X509Certificate": "version", "Domain": "domain", "domain": "domain",
	"EnrollmentFactory": "factory", "PrivateKey": "key", "AcmeDnsServerAccount": "delegation", "private_key": "key", "certificate": "version", "chain": "chain",
}

// kindOfObject is the kind of the objects under a key, empty for others.
func kindOfObject(key string) string {
	key, _, _ = strings.Cut(key, "s_5_")
	if strings.Contains(key, "__latest_") {
		return "version"
	}
	return kindsOfObjects[strings.TrimSuffix(key, "s")]
}

// kindOfNumber is the kind of the object that a number under a key means.
func kindOfNumber(key string) string {
	root, _, _ := strings.Cut(key, "__")
	switch root {
	case "acme_account_id":
		return "account"
	case "acme_server_id":
		return "authority"
	case "renewal_configuration_id":
		return "certificate"
	case "x509_certificate_id", "x509_certificate.id":
		return "version"
	case "private_key_id":
		return "key"
	case "domain.id", "domain_ids":
		return "domain"
	}
	return ""
}

// walk hands every id in a tree on with its kind and puts what it is told in its
// place. It answers the tree.
func walk(key string, v any, tell func(kind string, id int64) int64) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = walk(key, x[i], tell)
		}
	case map[string]any:
		return walkObject(key, x, tell)
	case json.Number:
		if kind := kindOfNumber(key); kind != "" {
			return told(x.String(), kind, tell, func(s string) any { return json.Number(s) })
		}
	}
	return v
}

func walkObject(key string, o map[string]any, tell func(kind string, id int64) int64) any {
	kind := kindOfObject(key)
	if _, pair := o["fullchain"]; pair {
		kind = "version"
	}
	out := make(map[string]any, len(o))
	for k, v := range o {
		switch id := v.(type) {
		case json.Number:
			if k == "id" && kind != "" {
				out[k] = told(id.String(), kind, tell, func(s string) any { return json.Number(s) })
				continue
			}
		case string: // of lookups
			if k == "id" && kind != "" {
				out[k] = told(id, kind, tell, func(s string) any { return s })
				continue
			}
		case map[string]any:
			if k == "fullchain" {
				out[k] = fullchain(id, tell)
				continue
			}
		}
		if n, err := strconv.ParseInt(k, 10, 64); err == nil && kind != "" && strings.HasSuffix(key, "s") { // a list by ids
			out[strconv.FormatInt(tell(kind, n), 10)] = walk(strings.TrimSuffix(key, "s"), v, tell)
			continue
		}
		below := k
		if key == "domain_ids" { // lists of them
			below = key
		}
		out[k] = walk(below, v, tell)
	}
	return out
}

// told is the number in place of an id as text.
func told(id, kind string, tell func(kind string, id int64) int64, as func(string) any) any {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return as(id)
	}
	return as(strconv.FormatInt(tell(kind, n), 10))
}

// fullchain has an id of two: the certificate's and the chain's.
func fullchain(o map[string]any, tell func(kind string, id int64) int64) map[string]any {
	o = maps.Clone(o)
	said, _ := o["id"].(string)
	leaf, chain, _ := strings.Cut(said, ",")
	as := func(s string) any { return s }
	o["id"] = told(leaf, "version", tell, as).(string) + "," + told(chain, "chain", tell, as).(string)
	return o
}
