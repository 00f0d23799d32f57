package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/certfleet/certfleet"
)

// fieldSet is what a struct can be told, by the names in its json tags.
type fieldSet struct {
	names []string // in the order of the struct
	index map[string][]int
}

func fieldsOf(t reflect.Type) fieldSet {
	set := fieldSet{index: map[string][]int{}}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		set.names = append(set.names, name)
		set.index[name] = f.Index
	}
	return set
}

func unknownSetting(key, path string, known []string) *certfleet.Error {
	where := ""
	if path != "" {
		where = " in " + path
	}
	near := nearest(key, known)
	if near == "" {
		return invalid("use one of "+strings.Join(known, ", "), "there is no setting %q%s", key, where)
	}
	return invalid(fmt.Sprintf("write %q, or take the line out", near), "there is no setting %q%s; did you mean %q?", key, where, near)
}

// nearest is the word that was probably meant, or empty: at most a third of the
// letters may differ, because a wilder guess misleads.
func nearest(word string, known []string) string {
	best, limit := "", max(1, len(word)/3)+1
	for _, k := range known {
		if n := distance(strings.ToLower(word), k); n < limit {
			best, limit = k, n
		}
	}
	return best
}

// distance counts the letters to add, remove, change or swap with a neighbour
// to make b of a (Damerau and Levenshtein, restricted).
func distance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+same)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
