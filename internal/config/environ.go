package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the environment variable of every setting: log.level is
// CERTFLEET_LOG_LEVEL. Lists are separated by commas. Sections of plugins
// (solvers) are set in the file alone.
const EnvPrefix = "CERTFLEET_"

// EnvName is the environment variable of the setting at path.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// settings are all fields that one word or a list of words can set, by path.
func settings(v reflect.Value, path string, each func(path string, v reflect.Value)) {
	set := fieldsOf(v.Type())
	for _, name := range set.names {
		f, at := v.FieldByIndex(set.index[name]), join(path, name)
		_, own := f.Addr().Interface().(nodeReader)
		switch {
		case own:
		case f.Kind() == reflect.Struct && !isScalar(f):
			settings(f, at, each)
		default:
			each(at, f)
		}
	}
}

// overlay reads what the environment says over what the file says.
func (r *reading) overlay(environ []string) {
	vars := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, EnvPrefix) && value != "" {
			vars[name] = value
		}
	}
	var known []string
	settings(reflect.ValueOf(r.cfg).Elem(), "", func(path string, v reflect.Value) {
		name := EnvName(path)
		known = append(known, name)
		if text, ok := vars[name]; ok {
			r.fromEnv[path] = name
			r.setFromEnv(v, path, name, text)
		}
	})
	r.warnAboutTypos(vars, known)
}

func (r *reading) setFromEnv(v reflect.Value, path, name, text string) {
	if path == "sealing_key" && !strings.HasPrefix(text, "file:") && !strings.HasPrefix(text, "env:") {
		text = "env:" + name // the variable is the key itself
	}
	if isScalar(v) {
		if err := setScalar(v, text); err != nil {
			r.problem(path, explain(err, path))
		}
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, 1)
	for item := range strings.SplitSeq(text, ",") {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := setScalar(e, strings.TrimSpace(item)); err != nil {
			r.problem(path, explain(err, path))
		}
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

// warnAboutTypos looks for variables that are nearly a setting's. Others with
// the prefix belong to the command line, or to somebody's scripts.
func (r *reading) warnAboutTypos(vars map[string]string, known []string) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if distance(name, k) <= 2 {
				r.cfg.Warnings = append(r.cfg.Warnings, fmt.Sprintf("the environment variable %s is no setting; did you mean %s?", name, k))
				break
			}
		}
	}
}
