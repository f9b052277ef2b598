package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netns"
)

// envRecipes is the environment variable that makes recipe tests mandatory: where it is "1", a program that one needs and that is not
// installed is a failure; otherwise the test is skipped.
const envRecipes = "DFWLINT_RECIPES"

// TestRecipes follows the pages in docs/recipes as they stand, with the real programs. The scripts have these commands more:
//
//	page PAGE                  writes the titled blocks of a page
//	netns                      puts what follows into a network namespace of its own
//	actionlint FILE            checks a workflow
//	workflow FILE [KEY=VALUE]  runs the steps of a workflow's job as GitHub would, with values of the matrix
//	pipeline FILE JOB          runs a job of .gitlab-ci.yml as GitLab would, and keeps its reports
//	codequality FILE           checks a report as GitLab reads it, and counts
//	junit FILE                 the same for a JUnit report
//	release                    makes dfwlint's module and repository to be had in the version that the pages name, without network
func TestRecipes(t *testing.T) {
	rel := sync.OnceValues(func() (*release, error) { return newRelease(t.TempDir()) })
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "recipes"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           has,
		Setup: func(e *testscript.Env) error {
			e.Setenv("COLUMNS", "100")
			e.Setenv("XTABLES_LOCKFILE", filepath.Join(e.WorkDir, "xtables.lock"))
			hosts, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recipes", "hosts"))
			if err != nil {
				return err
			}
			e.Setenv("HOSTS", hosts)
			hooks, err := filepath.Abs(filepath.Join("..", "..", ".pre-commit-hooks.yaml"))
			if err != nil {
				return err
			}
			e.Setenv("HOOKS", hooks)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":      status,
			"sarif":       sarifCommand,
			"page":        page,
			"netns":       newNetworkNamespace,
			"actionlint":  lintWorkflow,
			"workflow":    runWorkflow,
			"pipeline":    runPipeline,
			"codequality": codeQuality,
			"junit":       junitReport,
			"release": func(ts *testscript.TestScript, _ bool, _ []string) {
				r, err := rel()
				ts.Check(err)
				r.offer(ts)
			},
		},
	})
}

// has answers the condition [has:WHAT]: a program, "kernel" for a root that may make network namespaces, or "release" for the time
// that it takes to build dfwlint as its users do.
func has(cond string) (bool, error) {
	what, ok := strings.CutPrefix(cond, "has:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	switch what {
	case "kernel":
		ok = os.Geteuid() == 0 && os.Getenv("DFWLINT_KERNEL") == "1"
	case "release":
		ok = os.Getenv(envRecipes) == "1"
	default:
		_, err := exec.LookPath(what)
		ok = err == nil
	}
	if !ok && os.Getenv(envRecipes) == "1" {
		return false, fmt.Errorf("%s is missing, and %s=1 demands it", what, envRecipes)
	}
	return ok, nil
}

var (
	titledBlock = regexp.MustCompile("(?ms)^```[a-z]+ title=\"([^\"\n]+)\"\n(.*?)^```$")
	pages       = filepath.Join("..", "..", "docs", "recipes")
	// pageDir is absolute, as scripts run elsewhere.
	pageDir, _ = filepath.Abs(pages)
)

// blocks gives the titled blocks of a page: title and text.
func blocks(name string) ([][2]string, error) {
	text, err := os.ReadFile(filepath.Join(pageDir, name))
	if err != nil {
		return nil, err
	}
	var out [][2]string
	for _, m := range titledBlock.FindAllStringSubmatch(string(text), -1) {
		out = append(out, [2]string{m[1], m[2]})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no titled blocks", name)
	}
	return out, nil
}

func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: page PAGE")
	}
	files, err := blocks(args[0])
	ts.Check(err)
	for _, f := range files {
		name := ts.MkAbs(f[0])
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(f[1], "#!") {
			mode = 0o755
		}
		ts.Check(os.WriteFile(name, []byte(f[1]), mode))
	}
}

// newNetworkNamespace moves the script's thread into a network namespace that nobody else has, and programs that it starts with it. The
// thread is never unlocked, so that it ends with the script.
func newNetworkNamespace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: netns")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	ts.Check(err)
	ts.Defer(func() { ns.Close() })
}

// TestRecipesAreTested finds pages and blocks that no script uses.
func TestRecipesAreTested(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recipes", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all strings.Builder
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	names, err := filepath.Glob(filepath.Join(pages, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range names {
		name := filepath.Base(p)
		if !strings.Contains(all.String(), "\npage "+name+"\n") {
			t.Errorf("no script uses %s", name)
		}
		files, err := blocks(name)
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			// What a playbook includes is used by it.
			if !strings.Contains(all.String(), f[0]) && !strings.HasPrefix(f[0], "templates/") && !strings.HasPrefix(f[0], "group_vars/") && f[0] != "load.yml" {
				t.Errorf("%s: no script uses %s", name, f[0])
			}
		}
	}
}
