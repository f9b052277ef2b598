package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dfwlint/dfwlint/hostfacts"
)

// fake is a host by what its programs print and its files hold.
type fake struct {
	programs map[string]string
	files    map[string]string
	broken   map[string]bool
	ran      []string
}

func (f *fake) Run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	f.ran = append(f.ran, line)
	if out, ok := f.programs[line]; ok {
		return []byte(out), nil
	}
	if f.broken[name] {
		return nil, errors.New("permission denied")
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoProgram)
}

func (f *fake) ReadFile(name string) ([]byte, error) {
	if text, ok := f.files[name]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func (f *fake) Glob(pattern string) (out []string) {
	for name := range f.files {
		if ok, _ := path.Match(pattern, name); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

const table = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"

func TestDumps(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs map[string]string
		want     string
	}{
		{"nft alone holds tables", map[string]string{"iptables-nft-save": table, "iptables-legacy-save": ""}, "v4.rules"},
		{"legacy alone", map[string]string{"iptables-nft-save": "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n", "iptables-legacy-save": table}, "v4.rules"},
		{"both", map[string]string{"iptables-nft-save": "# x\n" + table, "iptables-legacy-save": table}, "legacy.rules nft.rules"},
		{"neither name", map[string]string{"iptables-save": table, "ip6tables-save": table}, "v4.rules v6.rules"},
		{"no tables at all", map[string]string{"iptables-nft-save": ""}, "v4.rules"},
		{"nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Collect(context.Background(), &fake{programs: c.programs})
			if names := strings.Join(got.Names(), " "); names != c.want {
				t.Errorf("files %q, want %q", names, c.want)
			}
			if c.want == "" && len(got.Missing) < 10 {
				t.Errorf("what is missing is not all told: %q", got.Missing)
			}
		})
	}
}

// TestIncomplete: rules that could not be saved are told of; programs that are not installed are none.
func TestIncomplete(t *testing.T) {
	both := map[string]string{"iptables-nft-save": table, "ip6tables-nft-save": table}
	for _, c := range []struct {
		f    fake
		want int
	}{
		{fake{programs: both}, 0},
		{fake{programs: both, broken: map[string]bool{"iptables-legacy-save": true}}, 1},
		{fake{programs: map[string]string{"iptables-save": table}}, 1},
	} {
		if got := Collect(context.Background(), &c.f).Incomplete; len(got) != c.want {
			t.Errorf("incomplete %q, want %d", got, c.want)
		}
	}
}

// TestSecrets demands that nothing of what may be secret is kept, and that hostfacts can read what is.
func TestSecrets(t *testing.T) {
	f := &fake{
		programs: map[string]string{
			"ip -j addr":                         `[{"ifindex":2,"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24,"scope":"global"}]}]`,
			"docker info --format {{json .}}":    `{"ServerVersion":"28.5.2","HttpProxy":"http://u:hunter2@proxy","Labels":["k=hunter2"],"FirewallBackend":{"Driver":"iptables","Info":[["x","y"]]},"Swarm":{"LocalNodeState":"inactive"}}`,
			"docker ps --all --quiet --no-trunc": "c1\n",
			"docker container inspect c1": `[{"Id":"c1","Name":"/web","Image":"sha256:1","Path":"/run","Args":["--password=hunter2"],"State":{"Running":true,"Status":"running"},
				"Config":{"Image":"nginx","Env":["PASSWORD=hunter2"],"Cmd":["hunter2"],"Labels":{"traefik.auth":"hunter2"},"Healthcheck":{"Test":["hunter2"]}},
				"Mounts":[{"Source":"/hunter2"}],
				"HostConfig":{"NetworkMode":"bridge","LogConfig":{"Config":{"token":"hunter2"}},"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}},
				"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]},"Networks":{"bridge":{"NetworkID":"n1","IPAddress":"172.17.0.2","DriverOpts":{"x":"hunter2"}}}}}]`,
			"docker network ls --quiet --no-trunc": "n1\n",
			"docker network inspect n1": `[{"Id":"n1","Name":"bridge","Driver":"bridge","Scope":"local","IPAM":{"Config":[{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}],"Options":{"k":"hunter2"}},
				"Options":{"com.docker.network.bridge.name":"docker0","vendor.token":"hunter2"},"Labels":{"l":"hunter2"}}]`,
		},
		files: map[string]string{
			"/etc/docker/daemon.json":                  `{"userland-proxy":false,"log-opts":{"splunk-token":"hunter2"}}`,
			"/proc/sys/net/ipv4/ip_forward":            "1\n",
			"/proc/sys/net/ipv4/conf/eth0.1/rp_filter": "2\n",
		},
	}
	got := Collect(context.Background(), f)
	dir := fstest.MapFS{}
	for name, data := range got.Files {
		if strings.Contains(string(data), "hunter2") {
			t.Errorf("%s holds a secret:\n%s", name, data)
		}
		dir[name] = &fstest.MapFile{Data: data}
	}
	facts, err := hostfacts.Load(dir)
	if err != nil || len(facts.Problems) > 0 {
		t.Fatal(err, facts.Problems)
	}
	if len(facts.Containers) != 1 || facts.Containers[0].Name != "web" || len(facts.Containers[0].Ports) != 1 || facts.Containers[0].Endpoints[0].IPv4.String() != "172.17.0.2" {
		t.Errorf("containers %+v", facts.Containers)
	}
	if len(facts.Networks) != 1 || facts.Docker == nil || facts.Docker.ServerVersion != "28.5.2" || facts.Docker.UserlandProxy == nil || *facts.Docker.UserlandProxy || len(facts.Links) != 1 {
		t.Errorf("networks %+v, docker %+v, links %+v", facts.Networks, facts.Docker, facts.Links)
	}
	if facts.Sysctl["net.ipv4.ip_forward"] != "1" || facts.Sysctl["net.ipv4.conf.eth0/1.rp_filter"] != "2" {
		t.Errorf("sysctls %v", facts.Sysctl)
	}
}

// TestReadsOnly: no program is asked to change anything.
func TestReadsOnly(t *testing.T) {
	f := &fake{programs: map[string]string{"docker info --format {{json .}}": `{"ServerVersion":"28.5.2"}`, "docker ps --all --quiet --no-trunc": "c1", "docker network ls --quiet --no-trunc": ""}}
	Collect(context.Background(), f)
	allowed := []string{"-save", "ipset save", "ip -j ", "ip -4 -j ", "ip -6 -j ", "nft list ", "ss -ltnup", "docker info ", "docker ps ", "docker container inspect ", "docker network ls "}
	for _, line := range f.ran {
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(line, a) }) {
			t.Errorf("%q is run", line)
		}
	}
	if len(f.ran) < 14 {
		t.Errorf("only %d programs are run: %q", len(f.ran), f.ran)
	}
}
