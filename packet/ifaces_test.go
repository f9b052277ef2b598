package packet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestIfaces(t *testing.T) {
	c := NewIfaces([]string{"eth0", "docker0", "br-1", "eth0", "", "eth9", "averylongname15"}, []string{"eth", "br-", "e", "", "br-", "averylongname15", "veth", "averylongname14"})
	for name, want := range map[string]string{
		"": "", "eth0": "eth0", "eth1": "eth8", "eth": "eth8", "enp1s0": "e9", "br-1": "br-1", "br-2": "br-0a1b2c3d4e5f", "docker0": "docker0",
		"docker1": "if0", "wlan0": "if0", "veth123": "veth0a1b2c3", "averylongname15": "averylongname15", "averylongname14": "averylongname14",
	} {
		if got := c.Name(c.Class(name)); got != want {
			t.Errorf("%q is in the class of %q, want %q", name, got, want)
		}
	}
	if c.Len() != c.Other()+1 || c.Class("") != 0 || c.Class("zzz") != c.Other() {
		t.Error("first or last class")
	}
	for k := range c.Len() {
		if got := c.Class(c.Name(k)); got != k {
			t.Errorf("class %d is represented by %q of class %d", k, c.Name(k), got)
		}
		if n := c.Name(k); k > 0 && (n == "" || len(n) > maxIfaceName) {
			t.Errorf("class %d is represented by %q", k, n)
		}
	}
	// A pattern fits a class's name exactly when it fits every other name of the class.
	names := []string{"", "eth0", "eth1", "eth7", "eth", "enp1s0", "e", "br-1", "br-2", "docker0", "docker1", "wlan0", "veth1"}
	for _, p := range []struct {
		name     string
		wildcard bool
	}{{"eth0", false}, {"br-1", false}, {"", false}, {"eth", true}, {"e", true}, {"br-", true}, {"", true}, {"averylongname15", true}} {
		fitting := c.Fitting(p.name, p.wildcard)
		for _, n := range names {
			want := n == p.name || p.wildcard && strings.HasPrefix(n, p.name)
			if got := slices.Contains(fitting, c.Class(n)); got != want {
				t.Errorf("%q fits %+v: %v, want %v", n, p, got, want)
			}
		}
	}
	if got := c.Fitting("unknown", false); got != nil {
		t.Errorf("unknown name fits %v", got)
	}
}

func TestIfacesCrowded(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint("eth", i), fmt.Sprint("ext", i))
	}
	c := NewIfaces(names, []string{"eth", "i"})
	for k := range c.Len() {
		if got := c.Class(c.Name(k)); got != k {
			t.Errorf("class %d is represented by %q of class %d", k, c.Name(k), got)
		}
	}
	s := NewSpace(Config{Ifaces: c})
	all := s.None()
	for k := range c.Len() {
		x := s.Classes(FieldIn, []int{k})
		if x.Overlaps(all) || x.IsEmpty() {
			t.Fatalf("class %d overlaps an earlier one", k)
		}
		all = all.Union(x)
	}
	if all != s.All() {
		t.Error("the classes do not cover everything")
	}
}
