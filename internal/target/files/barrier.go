package files

import "golang.org/x/sys/unix"

// manyBundles is from how many bundles on the whole file system is synchronised
// twice, instead of each file and folder by itself.
const manyBundles = 8

// lazy is shared by a disk and its layout: whether single files and folders are
// left to the next barrier.
type lazy struct{ on bool }

// many says whether what follows is left to barriers.
func (d *disk) many(yes bool) { d.lazy.on = yes }

// barrier makes all that was written so far last, if it does not yet.
func (d *disk) barrier() error {
	if !d.lazy.on {
		return nil
	}
	return d.do("syncfs", ".", func() error {
		f, err := d.root.Open(".")
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Syncfs(int(f.Fd()))
	})
}
