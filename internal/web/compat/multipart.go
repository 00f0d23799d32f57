package compat

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/url"

	"github.com/certfleet/certfleet"
)

// multipartForm reads fields and small files alike: curl --form sends both.
func multipartForm(body []byte, boundary string) (url.Values, error) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	form := url.Values{}
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return nil, badForm(err)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, badForm(err)
		}
		form.Add(part.FormName(), string(b))
	}
}

func badForm(err error) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the body is no form", Advice: "send it as curl --form does", Err: err}
}
