package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestADeniedExportNamesBothScopesAndOffline(t *testing.T) {
	denied := &certfleet.Error{Kind: certfleet.Denied, Msg: "this needs a token with scope key", Advice: "use another"}
	var p program
	got := p.exportDenied(denied)
	if a := certfleet.AdviceOf(got); got.Error() != denied.Error() || certfleet.KindOf(got) != certfleet.Denied || !strings.Contains(a, "read and key") || !strings.Contains(a, "--offline") {
		t.Errorf("%v, advice %q", got, a)
	}
	if other := errors.New("connection lost"); p.exportDenied(other) != other {
		t.Error("another error was changed")
	}
	p.flags.offline = true
	if p.exportDenied(denied) != error(denied) {
		t.Error("a command that is offline already was told to be")
	}
}
