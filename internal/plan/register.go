package plan

// Refund gives back what was spent and the CA did not count.
func Refund(b Bucket, l Limit, cost int) Bucket {
	b.TAT = b.TAT.Add(-l.interval(cost))
	return b
}

// Registering are the buckets that a new account touches. Which address the CA
// sees is not known here, so that there is one bucket for all.
func (b *Book) Registering() []Touch {
	var out []Touch
	for _, name := range []LimitName{NewAccounts, NewAccountsRange} {
		if t := b.touch(name, "", "", Asked, false); t.Limit.set() {
			out = append(out, t)
		}
	}
	return out
}
