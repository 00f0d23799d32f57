package certdeploy

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/certfleet/certfleet/internal/pki"
)

// How often the queue is looked at, while pushes run or jobs wait for the next
// moment, and while nothing is there.
const (
	busyPace = 100 * time.Millisecond
	idlePace = time.Second
)

// server pushes what is queued.
type server struct {
	c    serverConfig
	q    *queue
	log  *slog.Logger
	all  sync.WaitGroup // workers
	wake chan struct{}  // a worker ended

	mu      sync.Mutex // guards what follows
	running map[string]bool
	failed  int   // rounds that ended without success, and renewals
	fatal   error // the first failure, when fail_fast is set
}

func newServer(ctx context.Context, c serverConfig, log, sftp *slog.Logger) (*server, error) {
	for _, path := range c.skipped {
		log.Warn(fmt.Sprintf("Client config %s is empty or a folder, and is skipped.", path))
	}
	for i := range c.clients {
		if err := c.clients[i].connect(&c, sftp); err != nil {
			return nil, err
		}
	}
	q, err := openQueue(ctx, c.queueDir)
	if err != nil {
		return nil, err
	}
	return &server{c: c, q: q, log: log, wake: make(chan struct{}, 1), running: map[string]bool{}}, nil
}

// enqueue notes a renewed lineage for every client that wants one of its names.
func (s *server) enqueue(ctx context.Context, lineage string, domains []string) error {
	s.log.Debug("Adding lineage to queue.")
	lineages := map[string][]string{}
	for _, p := range s.c.wanting(domains) {
		lineages[p.queueKey()] = []string{cleanLineage(lineage)}
	}
	return s.q.add(ctx, time.Now(), lineages)
}

// keys are the queue's names for an identity of queue.json. Where several entries
// share one, the certificate's names tell for which it was.
func (s *server) keys(identity, lineage string) (keys []string) {
	var mine []peer
	for _, p := range s.c.clients {
		if p.identity() == identity && !slices.ContainsFunc(mine, func(o peer) bool { return o.queueKey() == p.queueKey() }) {
			mine = append(mine, p)
		}
	}
	if len(mine) > 1 {
		if names := namesIn(lineage); names != nil {
			mine = slices.DeleteFunc(mine, func(p peer) bool { return !slices.ContainsFunc(names, p.wants) })
		}
	}
	for _, p := range mine {
		keys = append(keys, p.queueKey())
	}
	return keys
}

// namesIn are the names of a lineage's certificate; nil when it cannot be read.
func namesIn(lineage string) (names []string) {
	b, err := loadLineage(cleanLineage(lineage))
	if err != nil {
		return nil
	}
	chain, err := pki.ParseChain(b.ChainPEM)
	if err != nil {
		return nil
	}
	return chain[0].DNSNames
}

// push works through the queue: once, until every job had its tries, or for ever.
func (s *server) push(ctx context.Context, oneShot bool) error {
	s.log.Debug(fmt.Sprintf("Server.serve_forever: one_shot=%s", map[bool]string{true: "True", false: "False"}[oneShot]))
	defer s.all.Wait()
	s.takeOver(ctx)
	if oneShot {
		if err := s.q.renew(ctx, time.Now()); err != nil {
			return err
		}
	}
	s.strangers(ctx)
	for ctx.Err() == nil {
		s.takeOver(ctx)
		left, err := s.round(ctx, oneShot)
		switch {
		case s.fatalError() != nil:
			s.all.Wait()
			return s.fatalError()
		case err != nil && oneShot:
			return err
		case err != nil && ctx.Err() == nil:
			s.log.Error(fmt.Sprintf("The queue cannot be read: %v", err))
		case oneShot && left == 0:
			return nil
		}
		s.rest(ctx, left)
	}
	if oneShot {
		return ctx.Err()
	}
	return nil
}

// round starts workers for what is due, and answers how much is left to wait for.
func (s *server) round(ctx context.Context, oneShot bool) (left int, err error) {
	list := func() ([]job, error) {
		if oneShot {
			return s.q.fresh(ctx)
		}
		return s.q.due(ctx, time.Now())
	}
	jobs, err := list()
	if err != nil {
		return 0, err
	}
	s.start(ctx, jobs)
	if jobs, err = list(); err != nil {
		return 0, err
	}
	for _, j := range jobs {
		if slices.ContainsFunc(s.c.clients, func(p peer) bool { return p.queueKey() == j.client }) {
			left++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return left + len(s.running), nil
}

func (s *server) rest(ctx context.Context, left int) {
	pace := idlePace
	if left > 0 {
		pace = busyPace
	}
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-time.After(pace):
	}
}

// takeOver fetches what certdeploy itself queued. A queue.json that cannot be
// used stops nothing.
func (s *server) takeOver(ctx context.Context) {
	n, err := s.q.takeOver(ctx, time.Now(), s.keys)
	if err != nil && ctx.Err() == nil {
		s.log.Error(fmt.Sprintf("%s: %v", errorName(err), err))
	}
	if n > 0 {
		s.log.Info(fmt.Sprintf("Took over %d jobs from %s.", n, sharedFile))
	}
}

// strangers warns of jobs for clients that are not configured. They stay, and
// nobody waits for them.
func (s *server) strangers(ctx context.Context) {
	jobs, err := s.q.all(ctx)
	if err != nil {
		return // the round says so
	}
	for _, j := range jobs {
		if !slices.ContainsFunc(s.c.clients, func(p peer) bool { return p.queueKey() == j.client }) {
			s.log.Warn(fmt.Sprintf("Lineage %s waits for a client that is not configured.", j.lineage))
		}
	}
}

// start starts a worker for each client, in the order of the configuration, that
// has jobs due and none yet. In serial mode it waits for each.
func (s *server) start(ctx context.Context, jobs []job) {
	now := time.Now()
	for _, p := range s.c.clients {
		mine := slices.DeleteFunc(slices.Clone(jobs), func(j job) bool { return j.client != p.queueKey() || j.due.After(now) })
		if len(mine) == 0 || !s.begin(p) {
			continue
		}
		done := make(chan struct{})
		s.all.Go(func() {
			defer close(done)
			defer s.end(p)
			s.work(ctx, p, mine)
		})
		if !s.c.parallel {
			s.join(ctx, done)
		}
		if s.fatalError() != nil || ctx.Err() != nil {
			return
		}
		pause(ctx, s.c.pushInterval)
	}
}

func (s *server) begin(p peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[p.queueKey()] {
		return false
	}
	s.running[p.queueKey()] = true
	return true
}

func (s *server) end(p peer) {
	s.mu.Lock()
	delete(s.running, p.queueKey())
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// join waits for a worker, for join_timeout at most. A worker's own waits are
// bounded, so without one it ends too.
func (s *server) join(ctx context.Context, done <-chan struct{}) {
	var late <-chan time.Time
	if s.c.joinTimeout > 0 {
		late = time.After(s.c.joinTimeout)
	}
	select {
	case <-done:
	case <-late:
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// fail counts a failure, which ends everything when fail_fast is set.
func (s *server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	if s.c.failFast && s.fatal == nil {
		s.fatal = err
	}
}

func (s *server) fatalError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatal
}

func (s *server) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}
