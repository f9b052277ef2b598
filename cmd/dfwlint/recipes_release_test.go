package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

const (
	modulePath = "github.com/dfwlint/dfwlint"
	repository = "https://github.com/dfwlint/dfwlint"
)

// A release is the work tree as if it had been published in the version that the recipes name: as a module on a proxy,
// and as a git repository with a tag.
type release struct {
	version     string
	proxy, repo string
	// goEnv is what go is to use, so that it builds as on any other day but finds the release.
	goEnv map[string]string
}

var namedVersion = regexp.MustCompile(`(?:cmd/dfwlint@|\brev: )(v[0-9][^\s"]*)`)

// recipeVersion is the version that all pages name.
func recipeVersion() (string, error) {
	names, err := filepath.Glob(filepath.Join(pageDir, "*.md"))
	if err != nil {
		return "", err
	}
	var versions []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		for _, m := range namedVersion.FindAllStringSubmatch(string(text), -1) {
			versions = append(versions, m[1])
		}
	}
	slices.Sort(versions)
	if versions = slices.Compact(versions); len(versions) != 1 {
		return "", fmt.Errorf("the recipes name the versions %v", versions)
	}
	return versions[0], nil
}

func newRelease(dir string) (*release, error) {
	version, err := recipeVersion()
	if err != nil {
		return nil, err
	}
	r := &release{version: version, proxy: filepath.Join(dir, "proxy"), repo: filepath.Join(dir, "repo")}
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	files, err := worktree(top)
	if err != nil {
		return nil, err
	}
	if err := r.writeModule(top, files); err != nil {
		return nil, fmt.Errorf("make the module: %w", err)
	}
	if err := r.writeRepository(top, files); err != nil {
		return nil, fmt.Errorf("make the repository: %w", err)
	}
	return r, r.readGoEnv()
}

// worktree lists what is in the work tree and not ignored.
func worktree(top string) ([]string, error) {
	out, err := commandOutput(top, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimRight(out, "\x00"), "\x00") {
		// One that is removed is still known to git.
		if info, err := os.Lstat(filepath.Join(top, name)); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	return files, nil
}

func commandOutput(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// treeFile is a file of the work tree, for the module's archive.
type treeFile struct{ top, name string }

func (f treeFile) Path() string                 { return f.name }
func (f treeFile) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(f.top, f.name)) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(f.top, f.name)) }

// writeModule writes what a module proxy serves. It fails where the tree would be no module, say for a file's name.
func (r *release) writeModule(top string, files []string) error {
	dir := filepath.Join(r.proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var list []modzip.File
	for _, name := range files {
		list = append(list, treeFile{top, name})
	}
	var b bytes.Buffer
	if err := modzip.Create(&b, module.Version{Path: modulePath, Version: r.version}, list); err != nil {
		return err
	}
	if _, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, r.version+".zip"), b.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, r.version+".mod"), mod, 0o644),
		os.WriteFile(filepath.Join(dir, r.version+".info"), fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, r.version), 0o644),
		os.WriteFile(filepath.Join(dir, "list"), []byte(r.version+"\n"), 0o644))
}

// writeRepository commits the tree and tags it.
func (r *release) writeRepository(top string, files []string) error {
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return err
		}
		to := filepath.Join(r.repo, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A", "-f"},
		{"-c", "user.name=release", "-c", "user.email=release@example.org", "-c", "commit.gpgsign=false", "commit", "-q", "-m", r.version},
		{"-c", "tag.gpgsign=false", "tag", r.version},
	} {
		if _, err := commandOutput(r.repo, "git", args...); err != nil {
			return err
		}
	}
	return nil
}

// readGoEnv asks go where it keeps what it has downloaded and built, so that nothing is fetched or built twice: an archive of a
// module cache is a proxy as well.
func (r *release) readGoEnv() error {
	out, err := commandOutput(".", "go", "env", "GOMODCACHE", "GOCACHE", "GOPROXY")
	if err != nil {
		return err
	}
	lines := strings.Split(out, "\n")
	cache := lines[0]
	r.goEnv = map[string]string{
		"GOCACHE": lines[1],
		"GOPROXY": "file://" + r.proxy + ",file://" + filepath.Join(cache, "cache", "download") + "," + lines[2],
		// The checksum database does not know the release.
		"GONOSUMDB": modulePath,
		// The same module elsewhere is the same build.
		"GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
	}
	return nil
}

// offer makes the release to be found by the script's programs: by its module path, and at the repository's address.
func (r *release) offer(ts *testscript.TestScript) {
	home := ts.MkAbs("home")
	ts.Check(os.MkdirAll(home, 0o755))
	config := fmt.Sprintf("[url %q]\n\tinsteadOf = %s\n[user]\n\tname = operator\n\temail = operator@example.org\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n", r.repo, repository)
	ts.Check(os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o644))
	ts.Setenv("HOME", home)
	ts.Setenv("GOPATH", filepath.Join(home, "go"))
	for k, v := range r.goEnv {
		ts.Setenv(k, v)
	}
}
