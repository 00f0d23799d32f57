package compat

import "net/url"

// unheard is a field of a form that asks for what this system does otherwise, and
// why. To go on without it would not be what was asked for.
func unheard(form url.Values) (field string, err error) {
	for _, role := range []string{primary, second} {
		if f := "private_key_existing" + role; form.Get(f) != "" {
			return f, invalid("leave it out, and say private_key_cycle"+role, "certificates are not made with a key that is named: a key is made, or kept, as its cycle says")
		}
	}
	if f := "replaces"; form.Get(f) == "backup" || form.Get("replaces_certificate_type") == "backup" {
		return f, invalid("leave it out; see how it stands with certfleet why", "the backup is renewed by itself")
	}
	if f := "is_export_filesystem"; form.Get(f) == "on" {
		return f, invalid("leave it out, and give the certificate a target of type files: certfleet targets", "nothing is exported by this mark")
	}
	return "", nil
}
