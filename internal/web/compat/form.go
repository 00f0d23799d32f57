package compat

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/certfleet/certfleet"
)

// mostForm in bytes bounds what is posted, mostRest what is read of more. Over HTTP/2
// an answer before the end of a form resets its stream, and a client such as curl tells
// of that in place of the answer.
const mostForm, mostRest = 1 << 20, 8 << 20

// form reads what was posted. A body without a Content-Type is a form too: the
// Lua module of the older system never sent one.
func (c *call) form() (url.Values, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.q.Body, mostForm))
	if err != nil {
		_, _ = io.CopyN(io.Discard, c.q.Body, mostRest) // nobody wants it
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the body cannot be read, or is over the limit", Advice: "send a form of at most 1 MiB", Err: err}
	}
	form, err := parseForm(body, c.q.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if c.page { // a browser sends every field; what is empty was left out
		maps.DeleteFunc(form, func(_ string, v []string) bool { return strings.TrimSpace(strings.Join(v, "")) == "" })
	}
	if err := checkForm(form); err != nil {
		return nil, err
	}
	if err := settleTwice(form); err != nil {
		return nil, err
	}
	return form, c.enterForm(form)
}

// settleTwice makes one of what a field holds that is given several times: names
// are joined, and values that contradict each other refused.
func settleTwice(form url.Values) error {
	for field, values := range form {
		if len(values) < 2 || field == "acme_authorization_id" {
			continue
		}
		if strings.HasPrefix(field, "domain_name") {
			form[field] = []string{strings.Join(values, ",")}
			continue
		}
		values = slices.DeleteFunc(values, func(v string) bool { return strings.TrimSpace(v) == "" })
		for _, v := range values {
			if v != values[0] {
				return invalid("give each field once", "the form has a field twice, with different values")
			}
		}
		form[field] = values
	}
	return nil
}

func parseForm(body []byte, contentType string) (url.Values, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && media == "multipart/form-data" {
		return multipartForm(body, params["boundary"])
	}
	form, err := url.ParseQuery(string(bytes.TrimSpace(body)))
	if err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the body is no form", Advice: "send field=value pairs, urlencoded", Err: errors.New("the form does not parse")}
	}
	return form, nil
}

// checkForm refuses what is no text, and a second line where a field has one. It
// repeats no value: some are secrets.
func checkForm(form url.Values) error {
	for field, values := range form {
		for _, v := range values {
			if !clean(v) || !clean(field) {
				return invalid("send certificates and keys as PEM, and everything in UTF-8", "the form has characters that are no text")
			}
			if !lines(field) && strings.ContainsAny(strings.TrimSpace(v), "\r\n") {
				return invalid("send it in one line", "a field that has one line has several")
			}
		}
	}
	return nil
}

// lines reports whether a field may have several lines: lists of names, and files.
func lines(field string) bool {
	for _, part := range []string{"domain_name", "contact", "pem", "file"} {
		if strings.Contains(field, part) {
			return true
		}
	}
	return false
}

// clean reports whether s is text without control characters but line ends and
// tabs: no store keeps others, and a terminal may obey them.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' })
}
