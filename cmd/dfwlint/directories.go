package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// A directory is an argument that is one: what "collect" wrote of a host, or a heap of dumps.
type directory struct {
	name  string
	facts *contextFacts
}

// directories splits the arguments into files and collected hosts. A directory without the names of a collected host's dumps stands
// for the dumps in it.
func directories(args []string) (files []string, hosts []directory, err error) {
	for _, a := range args {
		info, statErr := os.Stat(a)
		if statErr != nil || !info.IsDir() {
			files = append(files, a)
			continue
		}
		if !collected(a) {
			files = append(files, dumpsIn(a)...)
			continue
		}
		facts, err := loadContext(a)
		if err != nil {
			return nil, nil, err
		}
		hosts = append(hosts, directory{filepath.Clean(a), facts})
	}
	return files, hosts, nil
}

// collected says whether a directory holds a host's dumps by the names that "collect" gives them.
func collected(dir string) bool {
	return slices.ContainsFunc(hostfacts.DumpFiles(), func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// dumpsIn lists the files of a directory that look like dumps by their names, in order; the directory itself where there are none, so
// that it is told as an input that cannot be read.
func dumpsIn(dir string) []string {
	var out []string
	entries, _ := os.ReadDir(dir) // what cannot be read has no dumps
	for _, e := range entries {
		switch ext := strings.ToLower(filepath.Ext(e.Name())); ext {
		case ".rules", ".save", ".v4", ".v6", ".iptables", ".ip6tables", ".dump":
			if e.Type().IsRegular() {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(out) == 0 {
		return []string{dir}
	}
	return out
}

// hostOf makes a host's inputs of a collected directory.
func (d directory) hostOf(f *lintFlags) *hostInput {
	inputs := d.facts.inputs(nil, f)
	h := &hostInput{name: d.name, inputs: inputs, facts: d.facts}
	return settle([]*hostInput{h})[0]
}
