package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const whole = `assert:
  - name: only the office reaches Postgres
    to: {published: 5432/tcp}            # or container: web, address: 172.17.0.2, host: true
    from: {outside: true, not: 10.20.0.0/16}
    expect: unreachable
  - name: the site is public
    to: {published: [80/tcp, 443/tcp]}
    from: {outside: true}
    expect: reachable
  - name: nothing else is open
    from: {outside: true}
    expect: unreachable
    except: [{published: [80/tcp, 443/tcp]}, {host: true, port: 22/tcp, from: 10.20.0.0/16}]
  - to: {container: web, port: 8000-8010/udp}
    from: {container: db}
    expect: somewhere
    family: ipv6
  - to: {address: ["2001:db8::/32", 192.0.2.7], port: 53/udp}
    from: [10.0.0.0/8, 192.168.0.0/16]
    expect: reachable
  - to: {network: back}
    from: {interface: [eth0, eth1], address: 192.0.2.0/24}
    expect: unreachable
    except: {from: 192.0.2.1}
`

func TestParse(t *testing.T) {
	p, err := Parse("policy.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Assertions) != 6 {
		t.Fatalf("%d statements, want 6", len(p.Assertions))
	}
	for i, want := range []string{
		"published 5432/tcp from outside but 10.20.0.0/16: unreachable",
		"published 80/tcp, 443/tcp from outside: reachable",
		"anything from outside: unreachable, with 2 exceptions",
		"the container web 8000-8010/udp from the container db: somewhere",
		"2001:db8::/32, 192.0.2.7 53/udp from 10.0.0.0/8, 192.168.0.0/16: reachable",
		"the network back from 192.0.2.0/24 on eth0, eth1: unreachable, with 1 exception",
	} {
		if got := p.Assertions[i].String(); got != want {
			t.Errorf("statement %d: %s, want %s", i+1, got, want)
		}
	}
	if a := p.Assertions[3]; a.Name != "statement 4" || a.Family != 6 || a.Line != 14 {
		t.Errorf("statement 4 is %q at line %d of family %d", a.Name, a.Line, a.Family)
	}
}

// mistakes are policies with what their errors must say.
func mistakes() map[string][]string {
	one := func(lines string) string { return "assert:\n- " + strings.ReplaceAll(lines, "\n", "\n  ") + "\n" }
	return map[string][]string{
		"":                        {"p:1:1: the policy is empty"},
		"asert: []\n":             {`p:1:1: the policy has no key "asert"; do you mean "assert"?`, `p:1:1: "assert" is missing`},
		"assert: {}\n":            {`p:1:9: "assert" must be a list`},
		"assert: [\n":             {"p:", "no YAML"},
		"assert:\n\t- name: x\n":  {"p:2:", "if it is a tab"},
		"assert:\n- name: x\n":    {`p:2:3: "expect" is missing; write expect: reachable`},
		one("expect: unreachble"): {`p:2:11: "unreachble" is no expectation; do you mean "unreachable"?`},
		one("expect: unreachable\nform: outside"):                                   {`p:3:3: a statement has no key "form"; do you mean "from"?`},
		one("expect: unreachable\nexpect: reachable"):                               {`stands twice`},
		one("expect: unreachable\nto: {published: 80}"):                             {`p:3:19: the port "80" does not tell its protocol; write 80/tcp or 80/udp`},
		one("expect: unreachable\nto: {published: 80/tpc}"):                         {`p:3:19: "tpc" is no protocol with ports; do you mean "tcp"?`},
		one("expect: unreachable\nto: {published: 99999/tcp}"):                      {`"99999" is no port number`},
		one("expect: unreachable\nto: {published: 90-80/tcp}"):                      {`the range 90-80 is empty; write 80-90`},
		one("expect: unreachable\nto: {published: 80/tcp, host: true}"):             {`"published" and "host" cannot stand together`},
		one("expect: unreachable\nto: {port: 80/tcp}"):                              {`a port alone does not say whose`},
		one("expect: unreachable\nto: {host: false}"):                               {`"host" can only be true`},
		one("expect: unreachable\nto: everything"):                                  {`must be a mapping, not "everything"`},
		one("expect: unreachable\nfrom: {address: 10.20.0.1/16}"):                   {`has bits beyond its prefix length; write 10.20.0.0/16 for the network or 10.20.0.1`},
		one("expect: unreachable\nfrom: inside"):                                    {`"inside" is no address or prefix`},
		one("expect: unreachable\nfrom: {container: a, outside: true}"):             {`"outside" and "container" cannot stand together`},
		one("expect: unreachable\nfrom: {host: true, address: 10.0.0.1}"):           {`"address" and "host" cannot stand together`},
		one("expect: unreachable\nfrom: {}"):                                        {`nothing says where from`},
		one("expect: reachable"):                                                    {`"expect: reachable" needs "to"`},
		one("expect: reachable\nto: {host: true}"):                                  {`p:3:7: "expect: reachable" needs a port here`},
		one("expect: unreachable\nexcept: [{publisht: 80/tcp}]"):                    {`an exception has no key "publisht"; do you mean "published"?`},
		one("expect: unreachable\nfamily: ip4"):                                     {`"ip4" is no family`},
		one("expect: unreachable\nto: {published: []}"):                             {`the list is empty`},
		one("expect: unreachable\nto:"):                                             {`the key "to" has no value`},
		"assert:\n- {expect: unreachable}\n---\nassert:\n- {expect: unreachable}\n": {`a second document`},
	}
}

func TestMistakes(t *testing.T) {
	for text, wants := range mistakes() {
		p, err := Parse("p", []byte(text))
		var list Errors
		if p != nil || !errors.As(err, &list) {
			t.Errorf("%q: no error", text)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		}
	}
}

// instance is a policy as a JSON schema sees it.
func instance(t *testing.T, text string) (any, bool) {
	t.Helper()
	var v any
	if yaml.Unmarshal([]byte(text), &v) != nil {
		return nil, false
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return out, true
}

// TestSchema holds the schema against the parser: what one takes the other must take. Beyond a schema are only the meaning of numbers
// and prefixes, and what YAML itself says.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	good, _ := instance(t, whole)
	if err := s.Validate(good); err != nil {
		t.Errorf("the schema refuses a good policy: %v", err)
	}
	refused := 0
	for text := range mistakes() {
		beyond := strings.Contains(text, "99999") || strings.Contains(text, "90-80") || strings.Contains(text, "10.20.0.1/16") || strings.Contains(text, "---")
		v, ok := instance(t, text)
		if !ok || beyond {
			continue
		}
		refused++
		if s.Validate(v) == nil {
			t.Errorf("the schema takes %q", text)
		}
	}
	if refused < 20 {
		t.Errorf("only %d mistakes were held against the schema", refused)
	}
}

// TestPage holds the example of the language's description against the parser.
func TestPage(t *testing.T) {
	_, rest, ok := strings.Cut(Page(), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the page has no example")
	}
	if _, err := Parse("language.md", []byte(example)); err != nil {
		t.Error(err)
	}
}
