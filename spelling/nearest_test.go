package spelling

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"explain", "checks", "DU001", "DU005", "off"}
	for word, want := range map[string]string{
		"explian": "explain", "chekcs": "checks", "du05": "DU005", "DU0001": "DU001", "of": "off", "on": "", "firewall": "", "": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
