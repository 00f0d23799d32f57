package lego

// protocol is the version of the lines between parent and child. The child's
// own copy of these types is in dns/child, as its module needs none of this one.
const protocol = 1

type request struct {
	ID        uint64 `json:"id"`
	Op        string `json:"op"` // present or cleanup
	Domain    string `json:"domain"`
	Token     string `json:"token"`
	KeyAuth   string `json:"key_auth"`
	TimeoutMS int64  `json:"timeout_ms"`
}

type response struct {
	ID      uint64 `json:"id"`
	Hello   *hello `json:"hello"`
	Error   string `json:"error"`
	Remains bool   `json:"remains"` // the TXT value may still be there
}

type hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Provider string `json:"provider"`
}
