package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The names of a context directory's files. The dumps may come with v6 beside them.
const (
	fileAddr     = "ip-addr.json"
	fileRoute    = "ip-route.json"
	fileRoute6   = "ip-route6.json"
	fileIPSet    = "ipset.save"
	fileInspect  = "docker-inspect.json"
	fileNetworks = "docker-networks.json"
	fileInfo     = "docker-info.json"
	fileDaemon   = "daemon.json"
	fileSysctl   = "sysctl.txt"
	fileSS       = "ss.txt"
	// fileConntrack is what `conntrack -L` prints.
	fileConntrack = "conntrack.txt"
)

// DumpFiles are the names under which a context directory holds the host's dumps: of one backend, and of legacy and nft
// where both are loaded.
func DumpFiles() []string {
	return []string{"v4.rules", "v6.rules", "legacy.rules", "legacy6.rules", "nft.rules", "nft6.rules"}
}

// Load reads a context directory. Every file is optional; files of other names are left alone. A file that cannot be
// understood is in Problems with its name and the place, and its fact stays nil if it is JSON. The error is that of a
// directory that cannot be read at all. Dir stays empty: the file system does not tell it.
func Load(fsys fs.FS) (*Facts, error) {
	if _, err := fs.ReadDir(fsys, "."); err != nil {
		return nil, fmt.Errorf("the context directory cannot be read: %w", err)
	}
	l := loader{fsys: fsys, facts: &Facts{}}
	f := l.facts
	f.Links = load(&l, fileAddr, ParseAddr)
	l.routes()
	f.Containers = load(&l, fileInspect, ParseInspect)
	f.Networks = load(&l, fileNetworks, ParseNetworks)
	f.Docker = load(&l, fileInfo, ParseInfo)
	if data, ok := l.read(fileDaemon); ok && !l.empty(fileDaemon, data) {
		info := &DockerInfo{}
		if f.Docker != nil {
			*info = *f.Docker
		}
		if !l.told(fileDaemon, ParseDaemon(data, info)) {
			f.Docker = info
		}
	}
	// The lines of these four stand alone: what can be read is kept.
	if data, ok := l.read(fileIPSet); ok {
		sets, issues := ParseIPSet(data)
		l.told(fileIPSet, issues)
		f.Sets = sets
	}
	if data, ok := l.read(fileSysctl); ok && !l.empty(fileSysctl, data) {
		values, issues := ParseSysctl(data)
		l.told(fileSysctl, issues)
		f.Sysctl = values
	}
	if data, ok := l.read(fileSS); ok && !l.empty(fileSS, data) {
		listeners, issues := ParseSS(data)
		l.told(fileSS, issues)
		f.Listeners = listeners
	}
	if data, ok := l.read(fileConntrack); ok && !l.empty(fileConntrack, data) {
		connections, issues := ParseConntrack(data)
		l.told(fileConntrack, issues)
		f.Connections = connections
	}
	for _, name := range DumpFiles() {
		if data, ok := l.read(name); ok {
			if f.Dumps == nil {
				f.Dumps = map[string][]byte{}
			}
			f.Dumps[name] = data
		}
	}
	if len(f.Files) == 0 && len(f.Problems) == 0 {
		f.Problems = append(f.Problems, "The context directory has none of the files that are looked for ("+fileAddr+", "+fileInspect+", …).")
	}
	return f, nil
}

type loader struct {
	fsys  fs.FS
	facts *Facts
}

// read gives a file's bytes; a file that is there but cannot be read is a problem.
func (l *loader) read(name string) ([]byte, bool) {
	data, err := fs.ReadFile(l.fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		l.facts.Problems = append(l.facts.Problems, fmt.Sprintf("%s cannot be read: %v", name, err))
		return nil, false
	}
	l.facts.Files = append(l.facts.Files, name)
	return data, true
}

// empty notes a file without contents. That is what a failed command leaves, and docker inspect without containers.
func (l *loader) empty(name string, data []byte) bool {
	if !blank(data) {
		return false
	}
	l.facts.Notes = append(l.facts.Notes, name+" is empty: it counts as missing.")
	return true
}

// told adds issues to the problems and says whether there were any.
func (l *loader) told(name string, issues []Issue) bool {
	for i, is := range issues {
		if i == maxIssues {
			l.facts.Problems = append(l.facts.Problems, fmt.Sprintf("%s: %d further lines could not be understood", name, len(issues)-i))
			break
		}
		sep := ":"
		if is.Line == 0 {
			sep = ": "
		}
		l.facts.Problems = append(l.facts.Problems, name+sep+strings.TrimSpace(is.String()))
	}
	return len(issues) > 0
}

// load reads one JSON file; with any issue the fact is its zero value.
func load[T any](l *loader, name string, parse func([]byte) (T, []Issue)) T {
	var zero T
	data, ok := l.read(name)
	if !ok || l.empty(name, data) {
		return zero
	}
	v, issues := parse(data)
	if l.told(name, issues) {
		return zero
	}
	return v
}

// routes reads both files. `ip -j route show table all` prints both families; IPv6 routes of ip-route.json count where
// ip-route6.json does not tell them.
func (l *loader) routes() {
	f := l.facts
	var extra6 []Route
	if data, ok := l.read(fileRoute); ok && !l.empty(fileRoute, data) {
		v4, v6, issues := ParseRoutes(data, false)
		if !l.told(fileRoute, issues) {
			f.Routes, extra6 = v4, v6
		}
	}
	if data, ok := l.read(fileRoute6); ok && !l.empty(fileRoute6, data) {
		_, v6, issues := ParseRoutes(data, true)
		if !l.told(fileRoute6, issues) {
			f.Routes6 = v6
		}
	}
	if f.Routes6 == nil {
		f.Routes6 = extra6
	}
}
