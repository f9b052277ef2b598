package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid says what the schema thinks of a text.
func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	var dates func(*yaml.Node)
	dates = func(n *yaml.Node) { // JSON has no dates: editors take them for text
		if n.Tag == "!!timestamp" {
			n.Tag = "!!str"
		}
		for _, c := range n.Content {
			dates(c)
		}
	}
	dates(&n)
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

const whole = `checks:
  ORD: off
  ORD002: high
  EX003: critical
outside: eth0
trusted: [10.20.0.0/16, 2001:db8::1]
public: [80/tcp, 6000-6010/udp]
ignore:
  - check: [EX001, published-bypasses-host-policy]
    published: [127.0.0.1:8080/tcp, "[::1]:8080", 9090]
    reason: known
  - check: DU
    chain: DOCKER-*
    interface: br-*
    file: web*.rules
    table: filter
    reason: known
    expires: 2027-01-31
`

func TestParse(t *testing.T) {
	c, err := Parse("x.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Off["ORD001"] || c.Off["ORD002"] || c.Severities["ORD002"] != checks.High || c.Severities["EX003"] != checks.Critical {
		t.Errorf("off %v, severities %v: a check's own line should win over its group's", c.Off, c.Severities)
	}
	s := c.Settings
	if len(s.Outside) != 1 || len(s.Trusted) != 2 || s.Trusted[1].Bits() != 128 || len(s.Public) != 2 || s.Public[1] != (checks.PublicPort{Proto: "udp", First: 6000, Last: 6010}) {
		t.Errorf("settings %+v", s)
	}
	if len(c.Ignores) != 2 || c.Ignores[0].At.Line != 9 || len(c.Ignores[0].Ports) != 3 || len(c.Ignores[1].Checks) < 5 || c.Ignores[1].Expires.Format("2006-01-02") != "2027-01-31" {
		t.Errorf("ignores %+v", c.Ignores)
	}
	if err := valid(t, compiled(t), whole); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
}

// TestMistakes demands place and hint of each mistake; those that a schema can see it must refuse as well.
func TestMistakes(t *testing.T) {
	s := compiled(t)
	for _, c := range []struct {
		text, want string
		seen       bool
	}{
		{"check:\n  DU001: off\n", `x.yaml:1:1: the file has no key "check"; do you mean checks?`, true},
		{"checks:\n  DU01: off\n", `x.yaml:2:3: there is no check "DU01"; do you mean DU001?`, false},
		{"checks:\n  DU001: of\n", `x.yaml:2:10: "of" is no level`, true},
		{"outside:\n", "x.yaml:1:9: outside needs a value", true},
		{"trusted: [10.0.0.0/99]\n", `x.yaml:1:11: "10.0.0.0/99" is no address and no network`, false},
		{"public: [https]\n", `x.yaml:1:10: "https" is no port`, true},
		{"public: [443]\n", `x.yaml:1:10: "443": write a port and its protocol`, true},
		{"ignore:\n  - check: DU005\n", "x.yaml:2:5: an entry of ignore needs reason", true},
		{"ignore:\n  - reason: x\n", "x.yaml:2:5: an entry of ignore needs check", true},
		{"ignore:\n  - {check: DU005, reason: x, expire: 2027-01-01}\n", `do you mean expires?`, true},
		{"ignore:\n  - {check: DU005, reason: x, expires: tomorrow}\n", `x.yaml:2:40: "tomorrow" is no date`, true},
		{"ignore:\n  - {check: SUP001, reason: x}\n", "SUP001 cannot be ignored", false},
		{"ignore:\n  - {check: DU005, reason: x, chain: \"[a\"}\n", "is no pattern", false},
		{"outside: eth0\noutside: eth1\n", "", false},
		{"- a\n", "x.yaml:1:1: the file should be a mapping", true},
	} {
		_, err := Parse("x.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
		if c.seen && valid(t, s, c.text) == nil {
			t.Errorf("%q: the schema accepts it", c.text)
		}
	}
	if _, err := Parse("x.yaml", []byte("a: [\n")); err == nil || !strings.HasPrefix(err.Error(), "x.yaml:") {
		t.Errorf("broken YAML: %v", err)
	}
}

// TestStarter reads the starter as it is, and with every example uncommented.
func TestStarter(t *testing.T) {
	if _, err := Parse(FileName, []byte(Starter())); err != nil {
		t.Error(err)
	}
	var lines []string
	on := false
	for l := range strings.Lines(Starter()) {
		rest, comment := strings.CutPrefix(l, "# ")
		if !comment {
			on = false
		} else if key, _, ok := strings.Cut(rest, ":"); ok && !strings.Contains(key, " ") && key != "yaml-language-server" && key != "file" {
			on = true
		}
		if on {
			lines = append(lines, rest)
		}
	}
	c, err := Parse(FileName, []byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Ignores) != 1 || len(c.Settings.Public) != 3 || !c.Off["ORD001"] {
		t.Errorf("the examples are not all read: %+v\n%s", c, strings.Join(lines, ""))
	}
	if err := valid(t, compiled(t), strings.Join(lines, "")); err != nil {
		t.Error(err)
	}
}
