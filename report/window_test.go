package report

import (
	"strings"
	"testing"
	"testing/quick"
)

func TestWindow(t *testing.T) {
	rule := "-A DOCKER-USER -s 203.0.113.0/24 -i eth0 -p tcp -m tcp --dport 8080 -j DROP"
	for _, c := range []struct {
		name, line, stretch string
		room                int
		want, under         string
	}{
		{"fits", rule, "-i eth0", 80, rule, "-i eth0"},
		{"middle", rule, "-i eth0", 30, "…0.113.0/24 -i eth0 -p tcp -m…", "-i eth0"},
		{"left end", rule, "-A", 20, "-A DOCKER-USER -s 2…", "-A"},
		{"right end", rule, "DROP", 20, "…-dport 8080 -j DROP", "DROP"},
		{"whole rule keeps its target", rule, rule, 40, "-A DOCKER-USER -s 203.0.113.0/2… -j DROP", "-A DOCKER-USER -s 203.0.113.0/2… -j DROP"},
		{"wide characters", "-A INPUT --comment 東京東京東京 -j DROP", "東京東京東京", 18, "…t 東京東京東京 -…", "東京東京東京"},
		{"tab", "a\tb", "b", 10, "a    b", "b"},
		{"escape", "a\x1b[31mb", "b", 20, "a␛[31mb", "b"},
		{"no UTF-8", "a\xff\xfeb", "b", 20, "a\uFFFD\uFFFDb", "b"},
		{"joined characters", "x e\u0301 y", "y", 20, "x e\u0301 y", "y"},
		{"empty line", "", "", 20, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := strings.Index(c.line, c.stretch)
			w := newWindow(cells(c.line), start, start+len(c.stretch), c.room)
			if got := w.text(); got != c.want {
				t.Errorf("text  %q\nwant  %q", got, c.want)
			}
			from, to, ok := w.columns(start, start+len(c.stretch))
			if !ok {
				t.Error("the stretch is not shown")
			}
			if got := cut(w.text(), from, to); got != c.under {
				t.Errorf("under %q\nwant  %q", got, c.under)
			}
		})
	}
}

// cut gives the part of a text between two columns.
func cut(s string, from, to int) string {
	var b strings.Builder
	at := 0
	for _, c := range cells(s) {
		if at >= from && at < to {
			b.WriteString(c.text)
		}
		at += c.width
	}
	return b.String()
}

// TestWindowAlwaysFits draws any line, stretch and width: the window is never wider than the room and shows the stretch's
// first character.
func TestWindowAlwaysFits(t *testing.T) {
	check := func(line string, a, b uint8, r uint8) bool {
		all := cells(line)
		if len(all) == 0 {
			return true
		}
		start := all[int(a)%len(all)].offset
		end := min(start+int(b), len(line))
		room := 20 + int(r)%60
		for _, c := range all {
			if c.width > 4 {
				return true // a grapheme that no window could hold beside others
			}
		}
		w := newWindow(all, start, end, room)
		_, _, ok := w.columns(start, end)
		return widthOf(w) <= room && ok
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
	ascii := func(n uint16, a, b uint8, r uint8) bool {
		return check(strings.Repeat("-A INPUT -s 10.0.0.0/8 -j DROP 東 ", 1+int(n)%9), a, b, r)
	}
	if err := quick.Check(ascii, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 7, "one two|three"},
		{"one two three", 0, "one two three"},
		{"a\nb", 10, "a|b"},
		{"unbreakablewordthatislong x", 5, "unbreakablewordthatislong|x"},
		{"  kept indent of a line", 12, "  kept|  indent of|  a line"},
		{"", 10, ""},
		{"tail\n\n", 10, "tail"},
	} {
		if got := strings.Join(wrap(c.text, c.width), "|"); got != c.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
