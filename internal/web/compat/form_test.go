package compat

import (
	"strings"
	"testing"
)

func FuzzAFormIsTextOrRefused(f *testing.F) {
	f.Add("a=1&b=2", "")
	f.Add("label=a%00b", "application/x-www-form-urlencoded")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x")
	f.Add("domain_names_http01=a.example%0ab.example", "text/plain")
	f.Fuzz(func(t *testing.T, body, media string) {
		form, err := parseForm([]byte(body), media)
		if err != nil || checkForm(form) != nil {
			return
		}
		for field, values := range form {
			for _, v := range values {
				if strings.ContainsAny(v, "\x00\x1b\x7f") || !lines(field) && strings.ContainsAny(strings.TrimSpace(v), "\r\n") {
					t.Errorf("field %q is %q", field, v)
				}
			}
		}
	})
}

func FuzzAPathNamesSomethingOrNothing(f *testing.F) {
	for _, s := range []string{"/domain/shop.example.com.json", "/a/..", "/a/...json", "/\x00", "/a\r\nb", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !sane(path) {
			return
		}
		for _, part := range strings.Split(path, "/") {
			if p := strings.TrimSuffix(part, ".json"); p == ".." || p == "." || strings.ContainsAny(p, "\x00\r\n\x1b") {
				t.Errorf("%q was let through", path)
			}
		}
	})
}
