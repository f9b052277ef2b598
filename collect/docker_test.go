package collect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// failing is a fake whose programs may fail after they have written something.
type failing struct {
	fake
	fails map[string]error
}

func (f *failing) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := f.fake.Run(ctx, name, args...)
	if why, ok := f.fails[strings.Join(append([]string{name}, args...), " ")]; ok {
		err = why
	}
	return out, err
}

// TestDaemon: what docker answers when all is not well, as its client does.
func TestDaemon(t *testing.T) {
	const info, ps, networks = "docker info --format {{json .}}", "docker ps --all --quiet --no-trunc", "docker network ls --quiet --no-trunc"
	const down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
	for _, c := range []struct {
		name     string
		programs map[string]string
		fails    map[string]error
		files    string
		missing  string
	}{
		{"the daemon is down", map[string]string{info: `{"ID":"","Swarm":{"LocalNodeState":""},"ServerErrors":["` + down + `"],"ClientInfo":{}}`}, map[string]error{info: fmt.Errorf("exit status 1")}, "", down},
		{"an old client, and the daemon is down", map[string]string{info: `{"ID":"","ServerErrors":["` + down + `"]}`}, nil, "", down},
		{"permission denied", map[string]string{}, map[string]error{info: fmt.Errorf("exit status 1: permission denied while trying to connect to the Docker daemon socket")}, "", "permission denied"},
		{"nothing runs", map[string]string{info: `{"ServerVersion":"29.7.2"}`, ps: "", networks: ""}, nil, "docker-info.json docker-inspect.json docker-networks.json", ""},
		{
			"a container goes meanwhile",
			map[string]string{info: `{"ServerVersion":"29.7.2"}`, ps: "a\nb\n", networks: "", "docker container inspect a b": `[{"Id":"a","Name":"/web"}]`},
			map[string]error{"docker container inspect a b": fmt.Errorf("exit status 1: Error response from daemon: No such container: b")},
			"docker-info.json docker-inspect.json docker-networks.json", "No such container: b",
		},
		{
			"it breaks off in the middle",
			map[string]string{info: `{"ServerVersion":"29.7.2"}`, ps: "a\n", networks: "", "docker container inspect a": `[{"Id":"a","Config":{"Env":["TOKEN=hunter2"]`},
			map[string]error{"docker container inspect a": fmt.Errorf("signal: killed")},
			"docker-info.json docker-networks.json", "not the JSON",
		},
		{
			"podman speaks otherwise",
			map[string]string{info: "host:\n  arch: amd64\n", ps: "a\n"}, nil, "", "not the JSON",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Collect(context.Background(), &failing{fake{programs: c.programs}, c.fails})
			if names := strings.Join(got.Names(), " "); names != c.files {
				t.Errorf("files %q, want %q", names, c.files)
			}
			all := strings.Join(got.Missing, "\n")
			if !strings.Contains(all, c.missing) {
				t.Errorf("missing are\n%s\nand %q is not told", all, c.missing)
			}
			if strings.Contains(all, "hunter2") {
				t.Errorf("a secret is told:\n%s", all)
			}
			for name, data := range got.Files {
				if strings.Contains(string(data), "hunter2") {
					t.Errorf("%s holds a secret", name)
				}
			}
		})
	}
}

// TestKeepsFacts: what is kept of real answers of docker says the same to hostfacts as the answers themselves.
func TestKeepsFacts(t *testing.T) {
	files, _ := filepath.Glob("../../shared/corpus/docker/*/*.inspect.json")
	if len(files) == 0 {
		t.Skip("the corpus is not here")
	}
	containers, networks := 0, 0
	for _, file := range files {
		inspect, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		nets, err := os.ReadFile(strings.TrimSuffix(file, ".inspect.json") + ".networks.json")
		if err != nil {
			continue
		}
		got := Collect(context.Background(), &fake{programs: map[string]string{
			"docker info --format {{json .}}":    `{"ServerVersion":"1"}`,
			"docker ps --all --quiet --no-trunc": "x", "docker container inspect x": string(inspect),
			"docker network ls --quiet --no-trunc": "y", "docker network inspect y": string(nets),
		}})
		load := func(inspect, nets []byte) *hostfacts.Facts {
			f, err := hostfacts.Load(fstest.MapFS{"docker-inspect.json": {Data: inspect}, "docker-networks.json": {Data: nets}})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		want, have := load(inspect, nets), load(got.Files["docker-inspect.json"], got.Files["docker-networks.json"])
		if !reflect.DeepEqual(want.Containers, have.Containers) {
			t.Errorf("%s: containers\n%+v\nkept are\n%+v", file, want.Containers, have.Containers)
		}
		if a, b := fmt.Sprintf("%+v", want.Networks), fmt.Sprintf("%+v", have.Networks); a != b {
			t.Errorf("%s: networks\n%s\nkept are\n%s", file, a, b)
		}
		containers += len(have.Containers)
		networks += len(have.Networks)
	}
	if containers < 100 || networks < 100 {
		t.Errorf("only %d containers and %d networks", containers, networks)
	}
}
