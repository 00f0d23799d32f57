package api

// FormerNumbers are numbers that objects had in a system that was taken over. The
// routes of peter_sslers find the objects by them.
type FormerNumbers struct {
	Kind    string         `json:"kind" enum:"version,certificate,domain,account,authority,factory,key,chain,delegation"`
	Highest int64          `json:"highest,omitempty" minimum:"0" maximum:"500000000" doc:"The highest number of this kind there: objects that are made here from now on, by all tenants, have ids well above it. For tokens of the default tenant."`
	DryRun  bool           `json:"dry_run,omitempty" doc:"Only say what would be kept."`
	Numbers []FormerNumber `json:"numbers,omitempty" maxItems:"1000"`
}

// FormerNumber is the number of one object.
type FormerNumber struct {
	Number int64  `json:"number" minimum:"1" maximum:"500000000"`
	Ref    string `json:"ref" doc:"The object: fingerprint of a version, SPKI of a key, name of a domain, ContentID of a chain, solver and name of an account at an acme-dns server with a space between; of others the label."`
}

// FormerKept counts what came of the numbers.
type FormerKept struct {
	Kept    int `json:"kept" doc:"They are kept from now on."`
	There   int `json:"there" doc:"They were kept already."`
	Missing int `json:"missing" doc:"Their object is not here."`
	Taken   int `json:"taken" doc:"They are another object's, which keeps them."`
}
