package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dfwlint/dfwlint/config"
	"github.com/dfwlint/dfwlint/report"
)

// configure gives each host its settings: those of --config, or of the nearest file above its first input.
func (f *lintFlags) configure(hosts []*hostInput) error {
	switch {
	case f.config != "" && f.noConfig:
		return errors.New("--config and --no-config exclude each other")
	case f.noConfig:
		return nil
	}
	read := sync.OnceValues(os.Getwd)
	found := map[string]string{} // configuration by folder
	files := map[string]*config.Config{}
	for _, h := range hosts {
		name := f.config
		if name == "" {
			cwd, err := read()
			if err != nil {
				return fmt.Errorf("cannot tell the current directory: %w", err)
			}
			dir := resolve(cwd)
			if in := h.inputs[0]; in.Name != stdinLabel(f.stdinName) || f.stdinName != "" {
				dir = resolve(filepath.Dir(in.Name))
			}
			known, ok := found[dir]
			if !ok {
				known = nearestConfig(dir, resolve(cwd))
				found[dir] = known
			}
			if name = known; name == "" {
				continue
			}
		}
		c := files[name]
		if c == nil {
			var err error
			if c, err = readConfig(name); err != nil {
				return err
			}
			files[name] = c
		}
		h.config = c
	}
	return nil
}

// readConfig reads a file under the name that people know it by.
func readConfig(name string) (*config.Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	c, err := config.Parse(shortPath(name), data)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// shortPath is a path relative to the current directory, where it is below that.
func shortPath(name string) string {
	cwd, err := os.Getwd()
	if err != nil {
		return name
	}
	rel, err := filepath.Rel(resolve(cwd), resolve(name))
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return name
	}
	return rel
}

// nearestConfig looks in a folder and upwards, as far as the top of its repository or the current directory. Where neither is above the
// folder it looks in the folder itself, and then from the current directory upwards: a file in /tmp should not hang
// on what anybody puts in the root.
func nearestConfig(dir, cwd string) string {
	limit := gitTop(dir)
	if _, err := os.Stat(filepath.Join(limit, ".git")); err != nil {
		limit = dir
		if below(dir, cwd) {
			limit = cwd
		}
	}
	if name := climb(dir, limit); name != "" {
		return name
	}
	if !below(dir, cwd) {
		return climb(cwd, gitTop(cwd))
	}
	return ""
}

// below says whether a path is another one or in it.
func below(path, top string) bool {
	rel, err := filepath.Rel(top, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// climb gives the first configuration from dir up to top.
func climb(dir, top string) string {
	for at := dir; ; at = filepath.Dir(at) {
		name := filepath.Join(at, config.FileName)
		// One that is there but cannot be read must not be passed over.
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return name
		}
		if at == top || at == filepath.Dir(at) {
			return ""
		}
	}
}

// configs are those of the hosts, each once.
func configs(hosts []*hostInput) []*config.Config {
	var out []*config.Config
	for _, h := range hosts {
		if h.config != nil && !slices.Contains(out, h.config) {
			out = append(out, h.config)
		}
	}
	return out
}

// configNotices tell which files the settings are from.
func configNotices(hosts []*hostInput) []report.Notice {
	var out []report.Notice
	for _, c := range configs(hosts) {
		out = append(out, report.Notice{Kind: report.KindNote, Code: "config", Text: "Settings are taken from " + c.Name + "."})
	}
	return out
}
