package client

import "github.com/certfleet/certfleet/internal/api"

// The shapes of the API; see each for its fields.
type (
	// Agent is a receiving side with an identity of its own.
	Agent = api.Agent
	// AgentStory is an agent with what it holds.
	AgentStory = api.AgentStory
	// AgentLineage is what an agent holds of a certificate.
	AgentLineage = api.AgentLineage
	// UpdaterNote is what came of an updater.
	UpdaterNote = api.UpdaterNote
	// NewAgent invites an agent.
	NewAgent = api.NewAgent
	// Invitation is an agent with its join token.
	Invitation = api.Invitation
	// Account is us at an authority.
	Account = api.Account
	// NewAccount asks for an account at an authority, or brings one along with its key.
	NewAccount = api.NewAccount
	// Contact is whom a CA may write to.
	Contact = api.Contact
	// Rollover asks for a new account key.
	Rollover = api.Rollover
	// Page is one page of a list.
	Page[T any] = api.Page[T]
	// EdgeQuestions asks what many names serve.
	EdgeQuestions = api.EdgeQuestions
	// EdgeQuestion is one name, and what the caller has of it.
	EdgeQuestion = api.EdgeQuestion
	// EdgePair is what one name serves.
	EdgePair = api.EdgePair
	// EdgeGiven is how often an edge was given a version in one hour.
	EdgeGiven = api.EdgeLookup
	// Paging chooses a page.
	Paging = api.Paging
	// Labelled narrows a list to objects that carry all of the labels.
	Labelled = api.Labelled
	// Problem is an error as it is answered, in the form of RFC 9457.
	Problem = api.Problem
	// ProblemField is what is wrong with one field of a request.
	ProblemField = api.ProblemField
	// Fleet is a declaration of what there is to be.
	Fleet = api.Fleet
	// FleetAccount declares an account.
	FleetAccount = api.FleetAccount
	// FleetCertificate declares a certificate.
	FleetCertificate = api.FleetCertificate
	// ApplyQuery says how a declaration is applied.
	ApplyQuery = api.ApplyQuery
	// Applied is what a declaration changed, or would.
	Applied = api.Applied
	// Change is one object that differs.
	Change = api.Change
	// FieldChange is one field that differs.
	FieldChange = api.FieldChange
	// Certificate is what an operator asks for: names that are to be kept on a valid certificate, and how.
	Certificate = api.Certificate
	// CertificateQuery narrows a list of certificates.
	CertificateQuery = api.CertificateQuery
	// NewCertificate asks for a certificate.
	NewCertificate = api.NewCertificate
	// CertificateChange changes what is present in it; the rest stays.
	CertificateChange = api.CertificateChange
	// CertificateAnswer is a certificate after something was done to it.
	CertificateAnswer = api.CertificateAnswer
	// Overlap is a name that another certificate has too.
	Overlap = api.Overlap
	// Renewal asks for a new version now.
	Renewal = api.Renewal
	// Domain is what is known of a name.
	Domain = api.Domain
	// DomainQuery narrows a list of domains.
	DomainQuery = api.DomainQuery
	// DomainChange changes what is present in it.
	DomainChange = api.DomainChange
	// Event is something that happened, once.
	Event = api.Event
	// EventQuery narrows a list of events, newest first.
	EventQuery = api.EventQuery
	// StreamQuery says where a stream of events begins.
	StreamQuery = api.StreamQuery
	// Token lets somebody use this API.
	Token = api.Token
	// NewToken asks for a token.
	NewToken = api.NewToken
	// TokenAnswer is a new token.
	TokenAnswer = api.TokenAnswer
	// Order is one attempt to get a version.
	Order = api.Order
	// OrderQuery narrows a list of orders, newest first.
	OrderQuery = api.OrderQuery
	// OrderStory is an order with everything that is known of it.
	OrderStory = api.OrderStory
	// Authorization is what a CA last said about one name of an order.
	Authorization = api.Authorization
	// AuthorizationQuery narrows a list of authorizations or challenges, newest first.
	AuthorizationQuery = api.AuthorizationQuery
	// Challenge is a challenge that was, or is about to be, presented.
	Challenge = api.Challenge
	// Exchange is one request to a CA and what came back, without secrets.
	Exchange = api.Exchange
	// Deactivation chooses authorizations to give up.
	Deactivation = api.Deactivation
	// Deactivated says what was given up and what could not be.
	Deactivated = api.Deactivated
	// FailedActivity is one object of several for which an action went wrong.
	FailedActivity = api.FailedActivity
	// Policy is how certificates are to be got.
	Policy = api.Policy
	// PolicySpec is what a policy says.
	PolicySpec = api.PolicySpec
	// PolicyChange changes what is present in it.
	PolicyChange = api.PolicyChange
	// Authority is a CA that speaks ACME.
	Authority = api.Authority
	// AuthorityChange changes what is present in it.
	AuthorityChange = api.AuthorityChange
	// Directory is what a CA says of itself now.
	Directory = api.Directory
	// LimitsQuery says since when requests are counted, and which buckets are meant.
	LimitsQuery = api.LimitsQuery
	// Limits are what CAs allow and what is left of it, what they told us to wait
	// for, and the requests that were made.
	Limits = api.Limits
	// LimitBucket is what is left of one limit of a CA, by our own count.
	LimitBucket = api.LimitBucket
	// LimitOverride is what a CA granted beyond what it publishes, or what an
	// operator knows of a CA that publishes nothing.
	LimitOverride = api.LimitOverride
	// OverrideQuery names one override.
	OverrideQuery = api.OverrideQuery
	// ClearLimit forgets what was counted and learned of one limit.
	ClearLimit = api.ClearLimit
	// Done says that something was done that has nothing to tell.
	Done = api.Done
	// RequestCount is how many requests of a kind got a status on a day.
	RequestCount = api.RequestCount
	// Pause is something a CA told us to wait for.
	Pause = api.Pause
	// Jobs is what is worked on and what is due.
	Jobs = api.Jobs
	// RunningJob is one thing that is worked on now.
	RunningJob = api.RunningJob
	// TroubledJob is work that went wrong before it could say so on its row.
	TroubledJob = api.TroubledJob
	// LaneJobs is what waits in a lane.
	LaneJobs = api.LaneJobs
	// DueJobs is how much of one kind of work is due now.
	DueJobs = api.DueJobs
	// Sweep asks for one round of one kind of work.
	Sweep = api.Sweep
	// Swept is what came of a sweep.
	Swept = api.Swept
	// Release is the program that answers.
	Release = api.Release
	// Health says whether a node can work.
	Health = api.Health
	// HealthCheck is one thing that must work.
	HealthCheck = api.HealthCheck
	// Overview is the fleet in numbers.
	Overview = api.Overview
	// Target is a place to deliver to.
	Target = api.Target
	// TargetQuery narrows a list of targets.
	TargetQuery = api.TargetQuery
	// TargetChange changes what is present in it.
	TargetChange = api.TargetChange
	// TargetType is a kind of target and its settings.
	TargetType = api.TargetType
	// TargetField is one setting of a kind of target.
	TargetField = api.TargetField
	// TargetRun is one full write of a target, or one comparison with it.
	TargetRun = api.TargetRun
	// ACMEDNSServer is an acme-dns server of the configuration.
	ACMEDNSServer = api.ACMEDNSServer
	// Delegation is a name whose challenges are at an acme-dns server.
	Delegation = api.Delegation
	// EnsureNames asks for accounts at an acme-dns server.
	EnsureNames = api.EnsureNames
	// ACMEDNSAccount brings an account at an acme-dns server along.
	ACMEDNSAccount = api.ACMEDNSAccount
	// TargetEdges are the answers of all servers in front of a target.
	TargetEdges = api.TargetEdges
	// TargetEdge is what one of them answered.
	TargetEdge = api.TargetEdge
	// AccountCheck is how an account stands at its CA.
	AccountCheck = api.AccountCheck
	// Finding is one certificate of a TargetRun that is not as it should be.
	Finding = api.Finding
	// Redelivery asks to deliver again.
	Redelivery = api.Redelivery
	// DeliverRequest asks to deliver a certificate, to a target, or both.
	DeliverRequest = api.DeliverRequest
	// Redelivered says how many deliveries are due now.
	Redelivered = api.Redelivered
	// Delivery is one version to one target.
	Delivery = api.Delivery
	// DeliveryStory is a delivery with what probes saw.
	DeliveryStory = api.DeliveryStory
	// DeliveryQuery narrows a list of deliveries, newest first.
	DeliveryQuery = api.DeliveryQuery
	// Sighting is what a name served at an address.
	Sighting = api.Sighting
	// ProbeRequest asks what names serve now.
	ProbeRequest = api.ProbeRequest
	// Look is what a name serves at an address, right now.
	Look = api.Look
	// Looks are the answers to a ProbeRequest.
	Looks = api.Looks
	// Version is one issued chain.
	Version = api.Version
	// VersionStory is a version with its chains; certificates are public.
	VersionStory = api.VersionStory
	// Chain is one way from a version's leaf to a root.
	Chain = api.Chain
	// VersionQuery narrows a list of versions, newest first.
	VersionQuery = api.VersionQuery
	// Revocation says why a version is revoked.
	Revocation = api.Revocation
	// ExportRequest says in what form a version is wanted with its private key.
	ExportRequest = api.ExportRequest
	// Export is a version with its private key: the one answer, beside a new token, that holds a secret.
	Export = api.Export
	// Key is a private key's public side and its story.
	Key = api.Key
	// KeyOpening is how often somebody opened a key in one hour, and why.
	KeyOpening = api.KeyOpening
	// KeyQuery narrows a list of keys.
	KeyQuery = api.KeyQuery
	// Import brings a certificate along that came from elsewhere.
	Import = api.Import
	// Imported is what came of an import.
	Imported = api.Imported
	// Why is what holds for a name and why, from stored facts: first in sentences, then in fields.
	Why = api.Why
	// Slot is what a name is to serve.
	Slot = api.Slot
	// Served is one look at one target's address.
	Served = api.Served
	// SearchQuery says what is looked for.
	SearchQuery = api.SearchQuery
	// Hit is one find of a search, and where it leads.
	Hit = api.Hit
	// Hits are the finds of a search.
	Hits = api.Hits
	// FormerNumbers are numbers that objects had in a system that was taken over.
	FormerNumbers = api.FormerNumbers
	// FormerNumber is the number of one object.
	FormerNumber = api.FormerNumber
	// FormerKept counts what came of such numbers.
	FormerKept = api.FormerKept
)
