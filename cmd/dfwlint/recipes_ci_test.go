package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

func lintWorkflow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: actionlint FILE")
	}
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	ts.Check(err)
	src := ts.ReadFile(args[0])
	found, err := linter.Lint(args[0], []byte(src), nil)
	ts.Check(err)
	for _, e := range found {
		ts.Logf("%s", e.Error())
	}
	if len(found) > 0 {
		ts.Fatalf("%d errors in %s", len(found), args[0])
	}
}

// A workflow is what the recipes use of GitHub's language.
type workflow struct {
	Jobs map[string]struct {
		Permissions map[string]string
		Steps       []workflowStep
	}
}

type workflowStep struct {
	Name, Uses, Run, If string
	Env, With           map[string]string
	ContinueOnError     any `yaml:"continue-on-error"`
}

var (
	// whenThere is the one condition of steps that the test knows: run whatever went before, if a file is there.
	whenThere  = regexp.MustCompile(`^\$\{\{ !cancelled\(\) && hashFiles\('([^']+)'\) != '' \}\}$`)
	expression = regexp.MustCompile(`\$\{\{ ([a-z.]+) \}\}`)
)

// runWorkflow carries out the steps of the only job. The action upload-sarif puts the file into the folder uploaded, under the name of
// its category.
func runWorkflow(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: workflow FILE [KEY=VALUE]")
	}
	var w workflow
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &w))
	if len(w.Jobs) != 1 {
		ts.Fatalf("%s has %d jobs", args[0], len(w.Jobs))
	}
	expand := func(text string) string {
		return expression.ReplaceAllStringFunc(text, func(e string) string {
			key := expression.FindStringSubmatch(e)[1]
			for _, a := range args[1:] {
				if value, ok := strings.CutPrefix(a, key+"="); ok {
					return value
				}
			}
			ts.Fatalf("%s has no value", e)
			return ""
		})
	}
	failed := false
	for _, job := range w.Jobs {
		for _, s := range job.Steps {
			run := !failed
			if s.If != "" {
				m := whenThere.FindStringSubmatch(s.If)
				if m == nil {
					ts.Fatalf("step %q: the test does not know the condition %s", s.Name, s.If)
				}
				_, err := os.Stat(ts.MkAbs(m[1]))
				run = err == nil
			}
			if !run {
				ts.Logf("step %s: skipped", s.Name+s.Uses)
				continue
			}
			if s.ContinueOnError != nil {
				ts.Fatalf("step %q opens the gate", s.Name)
			}
			action, _, _ := strings.Cut(s.Uses, "@")
			switch action {
			case "":
				var env []string
				for k, v := range s.Env {
					env = append(env, k+"="+expand(v))
				}
				err := shell(ts, "-e", s.Run, env)
				failed = failed || err != nil
				ts.Logf("step %s: %v", s.Name, err)
			case "actions/checkout":
			case "actions/setup-go":
				ts.Setenv("PATH", filepath.Join(ts.Getenv("GOPATH"), "bin")+string(os.PathListSeparator)+ts.Getenv("PATH"))
			case "github/codeql-action/upload-sarif":
				if job.Permissions["security-events"] != "write" {
					ts.Fatalf("the job may not upload")
				}
				ts.Check(os.MkdirAll(ts.MkAbs("uploaded"), 0o755))
				to := filepath.Join("uploaded", expand(s.With["category"])+".sarif")
				ts.Check(os.WriteFile(ts.MkAbs(to), []byte(ts.ReadFile(s.With["sarif_file"])), 0o644))
			default:
				ts.Fatalf("the test does not know the action %s", s.Uses)
			}
		}
	}
	if failed != neg {
		ts.Fatalf("failed: %t", failed)
	}
}

// shell runs a text with bash in the script's folder and environment, as both services do.
func shell(ts *testscript.TestScript, flags, text string, env []string) error {
	ts.Check(os.WriteFile(ts.MkAbs(".step"), []byte(text+"\n"), 0o600))
	defer os.Remove(ts.MkAbs(".step"))
	args := slices.Concat(env, []string{"bash", flags, ".step"})
	err := ts.Exec("env", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	return err
}

// A pipelineJob is what the recipes use of a job in GitLab's language. Keys that it does not have are refused.
type pipelineJob struct {
	Stage        string
	Image        string
	Needs        []string
	Environment  string
	Rules        []pipelineRule
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    struct {
		When     string
		ExpireIn string `yaml:"expire_in"`
		Reports  struct {
			CodeQuality string `yaml:"codequality"`
			JUnit       string `yaml:"junit"`
		}
	}
}

type pipelineRule struct {
	If      string
	Changes []string
}

// runPipeline runs a job: its script as one shell script that ends with the first failure, as GitLab's runner does. What
// GitLab would keep goes to the folder kept.
func runPipeline(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: pipeline FILE JOB")
	}
	var jobs map[string]yaml.Node
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &jobs))
	node, ok := jobs[args[1]]
	if !ok {
		ts.Fatalf("%s has no job %s", args[0], args[1])
	}
	var job pipelineJob
	text, err := yaml.Marshal(&node)
	ts.Check(err)
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	ts.Check(dec.Decode(&job))
	if len(job.Script) == 0 || !slices.Contains([]string{".pre", "build", "test", "deploy", ".post"}, job.Stage) {
		ts.Fatalf("job %s has no script, or the stage %q, which no pipeline has by itself", args[1], job.Stage)
	}
	lines := slices.Concat([]string{"set -eo pipefail"}, job.BeforeScript, job.Script)
	failed := shell(ts, "-e", strings.Join(lines, "\n"), nil) != nil
	if keep := job.Artifacts.When; keep == "always" || !failed && keep != "on_failure" || failed && keep == "on_failure" {
		ts.Check(os.MkdirAll(ts.MkAbs("kept"), 0o755))
		for _, name := range []string{job.Artifacts.Reports.CodeQuality, job.Artifacts.Reports.JUnit} {
			if data, err := os.ReadFile(ts.MkAbs(name)); name != "" && err == nil {
				ts.Check(os.WriteFile(filepath.Join(ts.MkAbs("kept"), name), data, 0o644))
			}
		}
	}
	if failed != neg {
		ts.Fatalf("failed: %t", failed)
	}
}

// codeQuality holds a report against what GitLab asks of one: fields and severities, fingerprints that are unique, paths
// that are relative to the repository and of files in it.
func codeQuality(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: codequality FILE")
	}
	var issues []struct {
		Description string
		CheckName   string `json:"check_name"`
		Fingerprint string
		Severity    string
		Location    struct {
			Path  string
			Lines struct{ Begin int }
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &issues))
	seen := map[string]bool{}
	for _, i := range issues {
		switch {
		case i.Description == "" || i.CheckName == "" || i.Fingerprint == "" || i.Location.Lines.Begin < 1:
			ts.Fatalf("a field is missing: %+v", i)
		case seen[i.Fingerprint]:
			ts.Fatalf("the fingerprint of %+v is not unique", i)
		case !slices.Contains([]string{"info", "minor", "major", "critical", "blocker"}, i.Severity):
			ts.Fatalf("severity %q", i.Severity)
		case filepath.IsAbs(i.Location.Path) || strings.HasPrefix(i.Location.Path, "."):
			ts.Fatalf("path %q", i.Location.Path)
		}
		if _, err := os.Stat(ts.MkAbs(i.Location.Path)); err != nil {
			ts.Fatalf("GitLab finds no such file: %v", err)
		}
		seen[i.Fingerprint] = true
	}
	fmt.Fprintf(ts.Stdout(), "%d issues\n", len(issues))
}

// junitReport reads a report as GitLab does: cases in suites, with failures and errors in them.
func junitReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: junit FILE")
	}
	type testcase struct {
		Name     string     `xml:"name,attr"`
		Failures []struct{} `xml:"failure"`
		Errors   []struct{} `xml:"error"`
	}
	var doc struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []struct {
			Name  string     `xml:"name,attr"`
			Cases []testcase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	ts.Check(xml.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	tests, failures := 0, 0
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			if c.Name == "" {
				ts.Fatalf("a test of %s has no name", s.Name)
			}
			tests++
			failures += len(c.Failures) + len(c.Errors)
		}
	}
	if tests == 0 {
		ts.Fatalf("GitLab shows nothing of a report without tests")
	}
	fmt.Fprintf(ts.Stdout(), "%d tests, %d failures\n", tests, failures)
}
