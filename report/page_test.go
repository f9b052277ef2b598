package report

import (
	"strings"
	"testing"
)

const somePage = "# A `title`\n\nFirst paragraph with `code`, **bold** and\na [link](https://example.org/x).\n\n## Bad\n\n```iptables\n-A INPUT -j DROP   \n\n-A X\n```\n\n- one item that is long enough to be wrapped at forty\n- two\n\n1. first\n2. second\n\n| a | b |\n| - | - |\n| 1 | 2 |\n"

func TestPageText(t *testing.T) {
	want := `A ` + "`title`" + `

First paragraph with ` + "`code`" + `, bold and a
link <https://example.org/x>.

BAD

    -A INPUT -j DROP

    -A X

• one item that is long enough to be
  wrapped at forty
• two

1. first
2. second

| a | b |
| - | - |
| 1 | 2 |
`
	if got := PageText(somePage, 40, false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	colored := inkless(PageText(somePage, 40, true))
	if got := strings.ReplaceAll(want, "`", ""); colored != got {
		t.Errorf("colours change the words:\n%s", colored)
	}
}

func TestPageLead(t *testing.T) {
	if got := PageLead(somePage); got != "First paragraph with code, bold and a link <https://example.org/x>." {
		t.Errorf("lead %q", got)
	}
	if PageLead("## x\n") != "" {
		t.Error("a page without a paragraph has a lead")
	}
}
