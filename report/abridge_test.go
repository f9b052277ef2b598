package report

import (
	"strings"
	"testing"
)

func TestAbridge(t *testing.T) {
	page := `# X y

## Bad

` + "```iptables" + `
*raw
-A PREROUTING -j ACCEPT
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER
-A FORWARD -j ACCEPT
-A DOCKER -j DROP
-A DOCKER-USER -j RETURN
# want "never"
-A DOCKER-USER -j DROP
COMMIT
` + "```" + `

Text with *stars.

` + "```iptables" + `
*filter
# want "x"
:INPUT DROP [0:0]
-A FORWARD -j DOCKER-USER
COMMIT
` + "```" + `

` + "```sh" + `
iptables -A DOCKER-USER
` + "```" + `
`
	want := `# X y

## Bad

` + "```iptables" + `
…
*filter
:INPUT DROP [0:0]
…
-A DOCKER-USER -j RETURN
# reported:
-A DOCKER-USER -j DROP
…
` + "```" + `

Text with *stars.

` + "```iptables" + `
*filter
# reported:
:INPUT DROP [0:0]
-A FORWARD -j DOCKER-USER
COMMIT
` + "```" + `

` + "```sh" + `
iptables -A DOCKER-USER
` + "```" + `
`
	if got := Abridge(page); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if s := "# no examples\n\ntext\n"; Abridge(s) != s {
		t.Error("a page without examples changes")
	}
	if !strings.Contains(Abridge("```iptables\n-A X"), "-A X") {
		t.Error("a block without an end is lost")
	}
}
