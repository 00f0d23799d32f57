package sftp

import (
	"maps"
	"os"
	"path"
	"slices"
	"sync"
)

// lanes is how many lineages are on their way at a time in one session, so that
// the requests of one do not wait for the answers to another: an agent takes that
// many open files, and certdeploy's client is used to one after the other.
func (c *connection) lanes() int {
	if c.peer == Certdeploy {
		return 1
	}
	return 8
}

// each does all loads in their order, a few at a time.
func each(loads map[int]load, lanes int, do func(int, load)) {
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, lanes)
	for _, i := range slices.Sorted(maps.Keys(loads)) {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i, loads[i])
		})
	}
}

// putBlind writes the files and looks at nothing: our agent chooses the modes
// itself, and the manifest says what must be whole.
func (t *Target) putBlind(s *session, l load) error {
	dir := path.Join(t.c.Path, l.name)
	s.Mkdir(dir) // it may be there; what is really wrong shows with the first file
	for _, f := range l.files {
		if err := writeBlind(s, path.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

func writeBlind(s *session, name string, data []byte) error {
	w, err := s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}
