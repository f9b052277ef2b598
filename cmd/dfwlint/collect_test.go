package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netns"
)

// TestCollectHere loads rules into a network namespace of its own, collects there with the real programs, and lints what came out. It needs
// root and DFWLINT_KERNEL=1.
func TestCollectHere(t *testing.T) {
	if os.Getenv("DFWLINT_KERNEL") == "" || os.Geteuid() != 0 {
		t.Skip("needs root and DFWLINT_KERNEL=1")
	}
	// Children are in the namespace of the thread that starts them. The thread is never unlocked, so that it ends with the test.
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	rules, err := os.ReadFile(filepath.Join("..", "..", "testdata", "dumps", "web-host.rules"))
	if err != nil {
		t.Fatal(err)
	}
	restore := exec.Command("iptables-nft-restore")
	restore.Stdin = bytes.NewReader(rules)
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("iptables-nft-restore: %v: %s", err, out)
	}
	call := func(args ...string) (int, string, string) {
		var out, stderr bytes.Buffer
		code := run(args, console{in: strings.NewReader(""), out: &out, err: &stderr, getenv: func(string) string { return "" }})
		return code, out.String(), stderr.String()
	}
	dir := filepath.Join(t.TempDir(), "host")
	if code, out, stderr := call("collect", "-o", dir); code != 0 || !strings.Contains(out, "files in") {
		t.Fatalf("collect: status %d\n%s%s", code, out, stderr)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"v4.rules", "ip-addr.json", "sysctl.txt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if code, _, stderr := call("collect", "-o", dir); code != 2 || !strings.Contains(stderr, "not empty") {
		t.Errorf("a second time: status %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"--no-config", dir}, {"--no-config", "--live"}} {
		code, out, stderr := call(args...)
		if code != 1 || !strings.Contains(out, ".rules:39:1") { // which check says it depends on the interfaces there are
			t.Errorf("%v: status %d\n%s%s", args, code, out, stderr)
		}
	}
}
