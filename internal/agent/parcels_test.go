package agent

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// pushParcels sends what write writes on one channel and answers what is heard.
func (k *kit) pushParcels(write func(io.Writer)) (states []lineage.State) {
	k.Helper()
	conn, err := k.dialAs("certfleet", k.login)
	if err != nil {
		k.Fatal(err)
	}
	defer conn.Close()
	s, err := conn.NewSession()
	if err != nil {
		k.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		k.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := s.RequestSubsystem(lineage.Subsystem); err != nil {
		k.Fatal(err)
	}
	write(in)
	in.Close()
	for {
		var st lineage.State
		if err := lineage.Read(out, &st, 1<<16); err != nil {
			return states
		}
		states = append(states, st)
	}
}

func parcel(label string, files map[string][]byte) lineage.Parcel {
	p := lineage.Parcel{Paper: lineage.Paper{Certificate: label, Files: map[string]string{}}, Data: files}
	for f, b := range files {
		p.Paper.Files[f] = lineage.Sum(b)
	}
	return p
}

// TestOnlyWholeParcelsGoLive has parcels with every fault that a stranger's hand or
// a broken pusher could give them.
func TestOnlyWholeParcelsGoLive(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.run()
	good, other := pair(t, time.Hour, "shop.example"), pair(t, time.Hour, "cafe.example")
	mixed := map[string][]byte{lineage.FullChain: good[lineage.FullChain], lineage.PrivKey: other[lineage.PrivKey]}
	chainAlone := map[string][]byte{lineage.FullChain: good[lineage.FullChain]}
	wrongSum, strange := parcel("sum", good), parcel("strange", map[string][]byte{"../x": []byte("x")})
	wrongSum.Paper.Files[lineage.PrivKey] = lineage.Sum([]byte("another"))
	all := []lineage.Parcel{parcel("mixed", mixed), parcel("alone", chainAlone), parcel("old", pair(t, -time.Hour, "old.example")), parcel("", good),
		parcel("empty", nil), wrongSum, strange, parcel("shop", good)}
	states := k.pushParcels(func(w io.Writer) {
		for _, p := range all {
			if err := lineage.Write(w, p); err != nil {
				t.Error(err)
			}
		}
	})
	if len(states) != len(all) {
		t.Fatalf("%d answers to %d parcels", len(states), len(all))
	}
	for i, st := range states {
		taken := all[i].Paper.Certificate == "shop"
		if st.Certificate != all[i].Paper.Certificate || (st.Problem == "") != taken || (st.Fingerprint != "") != taken || !taken && st.Advice == "" {
			t.Errorf("%q: %+v", all[i].Paper.Certificate, st)
		}
	}
	k.serves("shop", good)
	if list, err := os.ReadDir(k.c.Dir + "/live"); err != nil || len(list) != 1 {
		t.Errorf("live are %v, %v", list, err)
	}
}

// TestWhatBreaksOffIsNotUsed cuts a parcel in the middle, and sends one that is too
// large, behind one that is whole.
func TestWhatBreaksOffIsNotUsed(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.MaxFile = 1 << 14 })
	k.run()
	good, next := pair(t, time.Hour, "shop.example"), pair(t, time.Hour, "shop.example")
	var text strings.Builder
	if err := lineage.Write(&text, parcel("shop", next)); err != nil {
		t.Fatal(err)
	}
	for name, tail := range map[string]string{"cut": text.String()[:text.Len()/2], "too large": "\x00\x20\x00\x00" + strings.Repeat("x", 1<<16), "nothing": ""} {
		states := k.pushParcels(func(w io.Writer) {
			lineage.Write(w, parcel("shop", good))
			io.WriteString(w, tail)
		})
		if len(states) != 1 || states[0].Problem != "" {
			t.Errorf("%s: heard %+v", name, states)
		}
		k.serves("shop", good)
	}
}

// TestTwoVersionsInOnePushGoLiveInOrder sends one certificate twice.
func TestTwoVersionsInOnePushGoLiveInOrder(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.run()
	older, newer := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	states := k.pushParcels(func(w io.Writer) {
		lineage.Write(w, parcel("shop", older))
		lineage.Write(w, parcel("shop", newer))
	})
	if len(states) != 2 || states[0].Problem+states[1].Problem != "" || states[0].Fingerprint == states[1].Fingerprint {
		t.Errorf("heard %+v", states)
	}
	k.serves("shop", newer)
}

// FuzzParcels has whoever may push send anything: each parcel that is understood is
// answered, and what is said to be live is a whole pair.
func FuzzParcels(f *testing.F) {
	files := pair(f, 24*time.Hour, "shop.example")
	frames := func(all ...any) []byte {
		var b bytes.Buffer
		for _, v := range all {
			if err := lineage.Write(&b, v); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	f.Add(frames(parcel("shop", files)))
	f.Add(frames(parcel("shop", files), parcel("shop", files), parcel("*.blog", changed(files, lineage.PrivKey, []byte("x")))))
	f.Add(frames(lineage.Parcel{Paper: lineage.Paper{Certificate: "shop", Remove: true}}, lineage.Parcel{Paper: lineage.Paper{Certificate: "../up"}}))
	f.Add([]byte("\x00\x00\x00\x02{}\xff\xff\xff\xff"))
	k := newKit(f, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		g := gathering{in: bytes.NewReader(text), most: 1 << 20}
		for g.err == nil {
			batch := g.next()
			if len(batch) == 0 {
				break
			}
			states, _ := k.take(t.Context(), batch)
			if len(states) != len(batch) {
				t.Fatalf("%d parcels, %d answers", len(batch), len(states))
			}
			for i, s := range states {
				if s.Problem == "" && !batch[i].Paper.Remove && k.liveBundle(s.Certificate).Fingerprint != s.Fingerprint {
					t.Errorf("%q is said to be live, and is not", s.Certificate)
				}
			}
		}
		if out, _ := filepath.Glob(filepath.Join(filepath.Dir(k.c.Dir), "*")); len(out) > 3 {
			t.Errorf("something lies outside: %v", out)
		}
	})
}
