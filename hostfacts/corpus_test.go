package hostfacts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestCorpus loads every real host of the corpus as a context directory.
func TestCorpus(t *testing.T) {
	root := filepath.Join("..", "..", "shared", "corpus", "docker")
	files, _ := filepath.Glob(filepath.Join(root, "*", "*.addr.json"))
	if len(files) == 0 {
		t.Skip("the corpus is not there")
	}
	names := map[string]string{
		"addr.json": fileAddr, "route.json": fileRoute, "route6.json": fileRoute6, "inspect.json": fileInspect,
		"networks.json": fileNetworks, "rules": "v4.rules",
	}
	hosts, containers, endpoints, bridges := 0, 0, 0, 0
	for _, file := range files {
		base := strings.TrimSuffix(file, "addr.json")
		fsys := fstest.MapFS{}
		for ext, name := range names {
			if data, err := os.ReadFile(base + ext); err == nil {
				fsys[name] = &fstest.MapFile{Data: data}
			}
		}
		f, err := Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Problems {
			t.Errorf("%s: %s", base, p)
		}
		hosts++
		if len(f.Links) == 0 || len(f.Routes) == 0 || len(f.Dumps) != 1 {
			t.Errorf("%s: %d links, %d routes, %d dumps", base, len(f.Links), len(f.Routes), len(f.Dumps))
		}
		check(t, base, f)
		containers += len(f.Containers)
		for _, c := range f.Containers {
			for _, e := range c.Endpoints {
				if !e.IPv4.IsValid() {
					continue
				}
				endpoints++
				if got, ok := f.ContainerByIP(e.IPv4); !ok || got.ID != c.ID {
					t.Errorf("%s: container of %s is %v", base, e.IPv4, got)
				}
				// The network's bridge is where the host's own routes lead, if the network has one here.
				bridge, ok := f.BridgeOfNetwork(e.NetworkID)
				if r, routed := f.Route(e.IPv4, false); ok && routed && r.Type == "unicast" && !r.Via.IsValid() {
					if _, up := f.LinkByName(bridge); up && r.Dev != bridge {
						t.Errorf("%s: %s of %s is behind %s by its route, behind %s by its network", base, e.IPv4, c.Name, r.Dev, bridge)
					}
					bridges++
				}
			}
		}
	}
	if hosts < 300 || containers < 500 || endpoints < 500 || bridges < 400 {
		t.Errorf("too little was checked: %d hosts, %d containers, %d endpoints, %d bridges", hosts, containers, endpoints, bridges)
	}
}

// check compares what is computed from addresses alone with the kernel's own local table.
func check(t *testing.T, base string, f *Facts) {
	t.Helper()
	plain := &Facts{Links: f.Links, Routes: mainOnly(f.Routes), Routes6: mainOnly(f.Routes6)}
	for _, l := range f.Links {
		for _, la := range l.Addrs {
			a := la.Prefix.Addr()
			for _, facts := range []*Facts{f, plain} {
				// A tentative address has no local route yet.
				local, known := facts.IsLocal(a)
				if !known || !local && !a.IsLinkLocalUnicast() {
					t.Errorf("%s: IsLocal(%s) = %v, %v", base, a, local, known)
				}
			}
			if a.Is4() {
				last, one, two := lastAddr(la.Network()), f, plain
				if last != a && one.IsBroadcast(last) != two.IsBroadcast(last) {
					t.Errorf("%s: IsBroadcast(%s) is %v by the table", base, last, one.IsBroadcast(last))
				}
				s1, ok1 := one.PreferredSource(a)
				s2, ok2 := two.PreferredSource(a)
				if s1 != s2 || ok1 != ok2 {
					t.Errorf("%s: PreferredSource(%s) is %s by the table, %s by the addresses", base, a, s1, s2)
				}
			}
		}
	}
	for _, r := range f.Routes {
		dst := r.Dst.Addr().Next()
		if r.Type != "unicast" || r.Dst.IsSingleIP() {
			continue
		}
		s1, ok1 := f.PreferredSource(dst)
		without := &Facts{Links: f.Links, Routes: mainOnly(f.Routes)}
		for i := range without.Routes {
			without.Routes[i].Src = noAddr
		}
		if s2, ok2 := without.PreferredSource(dst); s1 != s2 || ok1 != ok2 {
			t.Errorf("%s: PreferredSource(%s) is %s by the route, %s by the addresses", base, dst, s1, s2)
		}
	}
}

// mainOnly is what plain `ip route` would have printed.
func mainOnly(routes []Route) (out []Route) {
	for _, r := range routes {
		if r.Table == "main" || r.Table == "" {
			r.Table = ""
			out = append(out, r)
		}
	}
	return out
}
