package certdeploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The queue that certdeploy itself keeps, and its lock: a file that is there.
const (
	sharedFile = "queue.json"
	sharedLock = "queue.json.lock"
)

// certdeploy holds its lock for milliseconds. One that is older than staleLock was
// left by a process that died. lockPace is how often it looks, as the original does.
const (
	staleLock = 30 * time.Second
	lockWait  = 45 * time.Second
	lockPace  = 10 * time.Millisecond
)

// maxShared bounds queue.json, in bytes.
const maxShared = 16 << 20

// errCorrupt is that queue.json is not what certdeploy writes.
var errCorrupt = errors.New("The queue file contains invalid data.") //lint:ignore ST1005 the original's words

// takeOver moves the jobs of known clients from queue.json into the queue; known
// answers the keys of an identity. Clients that are not known stay in the file:
// they may be another server's. A crash between the two steps queues a job twice,
// which is once.
func (q *queue) takeOver(ctx context.Context, now time.Time, known func(identity, lineage string) []string) (taken int, err error) {
	file := filepath.Join(q.dir, sharedFile)
	if info, err := os.Stat(file); err != nil || info.Size() <= int64(len("{}")) {
		return 0, nil // nothing there, or nothing in it
	}
	unlock, err := lockShared(ctx, filepath.Join(q.dir, sharedLock))
	if err != nil {
		return 0, err
	}
	defer unlock()
	jobs, err := readShared(file)
	if errors.Is(err, errCorrupt) {
		aside := file + ".corrupt-" + now.UTC().Format("20060102T150405")
		return 0, fmt.Errorf("%w It lies at %s now: %w", errCorrupt, aside, errors.Join(os.Rename(file, aside), errAside))
	}
	if err != nil {
		return 0, err
	}
	lineages, left := map[string][]string{}, map[string][]string{}
	for identity, list := range jobs {
		for _, l := range list {
			keys := known(identity, l)
			if len(keys) == 0 {
				left[identity] = append(left[identity], l)
				continue
			}
			taken++
			for _, k := range keys {
				lineages[k] = append(lineages[k], cleanLineage(l))
			}
		}
	}
	if taken == 0 {
		return 0, nil
	}
	if err := q.add(ctx, now, lineages); err != nil {
		return 0, err
	}
	return taken, writeShared(file, left)
}

// errAside tells that the queue goes on without the damaged file.
var errAside = errors.New("its jobs are to be queued again with --lineage and --domains")

// cleanLineage takes off what would give the lineage no name.
func cleanLineage(l string) string {
	if abs, err := filepath.Abs(l); err == nil {
		return abs
	}
	return filepath.Clean(l)
}

func readShared(file string) (map[string][]string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read queue.json: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxShared+1))
	if err != nil {
		return nil, fmt.Errorf("read queue.json: %w", err)
	}
	var jobs map[string][]string
	if len(text) > maxShared || json.Unmarshal(text, &jobs) != nil || jobs == nil {
		return nil, errCorrupt
	}
	return jobs, nil
}

// writeShared puts the file in place at once, with the mode and owner it had.
func writeShared(file string, jobs map[string][]string) error {
	text, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("write queue.json: %w", err)
	}
	temp := filepath.Join(filepath.Dir(file), ".queue.json."+rand.Text())
	defer os.Remove(temp)
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("write queue.json: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		os.Chown(temp, int(st.Uid), int(st.Gid)) // only root may, and only then it differs
	}
	if err := errors.Join(os.Chmod(temp, info.Mode().Perm()), os.Rename(temp, file)); err != nil {
		return fmt.Errorf("write queue.json: %w", err)
	}
	return nil
}

// lockShared makes the lock file, and waits while another process has it.
func lockShared(ctx context.Context, lock string) (unlock func(), err error) {
	for end := time.Now().Add(lockWait); ; {
		f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			f.Close()
			return func() { os.Remove(lock) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock queue.json: %w", err)
		}
		if time.Now().After(end) {
			return nil, invalid("find who holds it, or remove it if nobody does", "lock %s is held by somebody else", lock)
		}
		breakStale(lock)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPace):
		}
	}
}

// breakStale removes a lock whose maker died. It is moved away first, and looked
// at there: if somebody was faster and it is a new one, it goes back.
func breakStale(lock string) {
	if !stale(lock) {
		return
	}
	away := lock + "." + rand.Text()
	if os.Rename(lock, away) != nil {
		return
	}
	if !stale(away) {
		os.Link(away, lock)
	}
	os.Remove(away)
}

func stale(file string) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()) > staleLock
}
