package diff

import (
	"testing"

	"github.com/dfwlint/dfwlint/parser"
	"github.com/dfwlint/dfwlint/ruleset"
)

func TestUncommented(t *testing.T) {
	for line, want := range map[string]string{
		`-A INPUT -p tcp -j DROP`:                                                                         `-A INPUT -p tcp -j DROP`,
		`-A INPUT -p tcp -m comment --comment plain -j DROP`:                                              `-A INPUT -p tcp -j DROP`,
		`-A INPUT -m comment --comment "two \"words\" -m comment --comment x" -p tcp -j DROP`:             `-A INPUT -p tcp -j DROP`,
		`-A INPUT -m comment --comment one -p tcp -m comment --comment "an other" -m limit --limit 1/sec`: `-A INPUT -p tcp -m limit --limit 1/sec`,
	} {
		sets := ruleset.Build(parser.Parse("x", []byte("*filter\n:INPUT ACCEPT [0:0]\n"+line+"\nCOMMIT\n")))
		if got := uncommented(sets[0].Chain("filter", "INPUT").Rules[0]); got != want {
			t.Errorf("%s gives\n%s", line, got)
		}
	}
}
