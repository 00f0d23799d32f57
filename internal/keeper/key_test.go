package keeper

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTextFormKeepsTheKey(t *testing.T) {
	k := newKey(t)
	again, err := Parse(append([]byte("# a comment\n\n"), append(k.Text(), '\n')...))
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != k.ID() || len(k.ID()) != 16 {
		t.Fatalf("id %q became %q", k.ID(), again.ID())
	}
	sealed, err := k.Seal(t.Context(), []byte("plain"), []byte("row 1"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := again.Open(t.Context(), sealed, []byte("row 1"))
	if err != nil || string(plain) != "plain" {
		t.Fatalf("opened %q, %v", plain, err)
	}
}

func TestParseRefusesAndNeverRepeats(t *testing.T) {
	k, other := newKey(t), newKey(t)
	text := string(k.Text())
	secret := text[strings.LastIndex(text, ":")+1:]
	for name, in := range map[string]string{
		"empty":         "# only a comment\n",
		"no prefix":     secret,
		"short":         text[:len(text)-4],
		"two keys":      text + "\n" + text,
		"foreign id":    strings.Replace(text, k.ID(), other.ID(), 1),
		"mistyped":      text[:len(text)-9] + "AAAA" + text[len(text)-5:],
		"padded":        text + "=",
		"later version": strings.Replace(text, "v1", "v2", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(in))
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), secret[:12]) {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	k := newKey(t)
	sealed, _ := k.Seal(t.Context(), []byte("data key"), []byte("aad"))
	if bytes.Contains(sealed, []byte("data key")) {
		t.Error("the sealed form shows the plain one")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(t.Context(), bad, []byte("aad")); err == nil {
			t.Fatalf("opened with bit 0 of byte %d flipped", i)
		}
	}
	if _, err := k.Open(t.Context(), sealed, []byte("other")); err == nil {
		t.Error("opened for another row")
	}
	if _, err := newKey(t).Open(context.Background(), sealed, []byte("aad")); err == nil {
		t.Error("opened with another key")
	}
}

func TestPrintingAKeyIsHarmless(t *testing.T) {
	k := newKey(t)
	secret := string(k.secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, k); strings.Contains(out, secret) || out != "sealing key "+k.ID() {
			t.Errorf("%s prints %q", verb, out)
		}
	}
}

func TestBackupIdentityOpensWhatItsRecipientSealed(t *testing.T) {
	k := newKey(t)
	again, err := Parse(k.Text())
	if err != nil {
		t.Fatal(err)
	}
	to, err := k.BackupRecipient()
	if err != nil {
		t.Fatal(err)
	}
	var box bytes.Buffer
	w, err := age.Encrypt(&box, to)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "a whole database")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	from, err := again.BackupIdentity()
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(box.Bytes()), from)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(r); string(got) != "a whole database" {
		t.Errorf("got %q", got)
	}
	stranger, _ := newKey(t).BackupIdentity()
	if _, err := age.Decrypt(bytes.NewReader(box.Bytes()), stranger); err == nil {
		t.Error("another key opened the backup")
	}
}

// The identity printed by age itself is the judge of our Bech32.
func TestBackupTextIsWhatAgeWouldPrint(t *testing.T) {
	for range 20 {
		k := newKey(t)
		text, err := k.BackupText()
		if err != nil {
			t.Fatal(err)
		}
		id, err := age.ParseX25519Identity(string(text))
		if err != nil || id.String() != string(text) {
			t.Fatalf("age does not read its own form back: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	k := newKey(f)
	f.Add([]byte(k.Text()))
	f.Add([]byte("# x\ncertfleet-key-v1:a:b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(got.Text()); err != nil || again.ID() != got.ID() {
			t.Fatalf("text form of an accepted key is refused: %v", err)
		}
	})
}
