package keeper

import "bytes"

// The alphabet of Bech32 (BIP 173), in the upper case that age uses for secrets.
const bech32Alphabet = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

// bech32 writes data in Bech32 (BIP 173) under the human-readable part hrp,
// which must be upper-case ASCII.
func bech32(hrp string, data []byte) []byte {
	digits := fiveBits(data)
	digits = append(digits, bech32Checksum(hrp, digits)...)
	out := append([]byte(hrp), '1')
	for _, d := range digits {
		out = append(out, bech32Alphabet[d])
	}
	return out
}

// fiveBits regroups bytes into digits of five bits, padded with zero bits.
func fiveBits(data []byte) []byte {
	var out []byte
	var have, held uint32
	for _, b := range data {
		held, have = held<<8|uint32(b), have+8
		for have >= 5 {
			have -= 5
			out = append(out, byte(held>>have&31))
		}
	}
	if have > 0 {
		out = append(out, byte(held<<(5-have)&31))
	}
	return out
}

func bech32Checksum(hrp string, digits []byte) []byte {
	hrpLower := bytes.ToLower([]byte(hrp))
	var all []byte
	for _, c := range hrpLower {
		all = append(all, c>>5)
	}
	all = append(all, 0)
	for _, c := range hrpLower {
		all = append(all, c&31)
	}
	all = append(append(all, digits...), 0, 0, 0, 0, 0, 0)
	sum := bech32Polymod(all) ^ 1
	out := make([]byte, 6)
	for i := range out {
		out[i] = byte(sum >> (5 * (5 - i)) & 31)
	}
	return out
}

func bech32Polymod(digits []byte) uint32 {
	generator := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	sum := uint32(1)
	for _, d := range digits {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(d)
		for i, g := range generator {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}
