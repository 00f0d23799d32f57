package env

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/keeper"
)

func TestOpenReadsTheVariable(t *testing.T) {
	key, err := keeper.Generate()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SEALING", string(key.Text()))
	got, err := Open("SEALING")
	if err != nil || got.ID() != key.ID() {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestOpenSaysWhichVariable(t *testing.T) {
	for text, kind := range map[string]certfleet.Kind{"": certfleet.NotFound, "hunter2": certfleet.Invalid} {
		t.Setenv("SEALING", text)
		_, err := Open("SEALING")
		if certfleet.KindOf(err) != kind || certfleet.AdviceOf(err) == "" || !strings.Contains(err.Error(), "SEALING") {
			t.Errorf("%q: %v", text, err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the value: %v", err)
		}
	}
}
