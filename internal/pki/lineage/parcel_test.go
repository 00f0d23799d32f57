package lineage

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestParcelsComeOutAsTheyWentIn(t *testing.T) {
	var b bytes.Buffer
	for _, label := range []string{"shop", "cafe"} {
		if err := Write(&b, Parcel{Paper: Paper{Certificate: label}, Data: map[string][]byte{PrivKey: []byte(label)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, label := range []string{"shop", "cafe"} {
		var p Parcel
		if err := Read(&b, &p, 1000); err != nil || p.Paper.Certificate != label || string(p.Data[PrivKey]) != label {
			t.Errorf("read %+v, %v; want %s", p, err, label)
		}
	}
	if err := Read(&b, &Parcel{}, 1000); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestAMessageThatIsCutOrTooLongIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, State{Certificate: "shop"}); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	for n := 1; n < len(whole); n++ {
		if err := Read(bytes.NewReader(whole[:n]), &State{}, 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	for name, text := range map[string][]byte{"long": whole, "huge": {0xff, 0xff, 0xff, 0xff}, "no JSON": {0, 0, 0, 1, '{'}} {
		if err := Read(bytes.NewReader(text), &State{}, uint32(len(whole)-5)); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
