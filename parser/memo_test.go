package parser

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// sameFile compares what two parses of one text understood.
func sameFile(t testing.TB, name string, a, b *File) {
	t.Helper()
	if !reflect.DeepEqual(a.Errors, b.Errors) || !reflect.DeepEqual(a.Notes, b.Notes) ||
		!reflect.DeepEqual(a.Unknown, b.Unknown) || !reflect.DeepEqual(a.Lines, b.Lines) ||
		!reflect.DeepEqual(a.Chains, b.Chains) {
		t.Fatalf("%s: errors %v and %v, unknown %v and %v", name, a.Errors, b.Errors, a.Unknown, b.Unknown)
	}
	if len(a.Rules) != len(b.Rules) {
		t.Fatalf("%s: %d and %d rules", name, len(a.Rules), len(b.Rules))
	}
	for i := range a.Rules {
		x, y := &a.Rules[i], &b.Rules[i]
		if x.Span != y.Span || x.Counters != y.Counters || !reflect.DeepEqual(x.Words, y.Words) ||
			!reflect.DeepEqual(x.Shape, y.Shape) {
			t.Fatalf("%s:%d: %+v\nand %+v", name, x.Line, x.Shape, y.Shape)
		}
	}
}

// TestMemoCorpus checks over real files that the memo changes nothing.
func TestMemoCorpus(t *testing.T) {
	n := 0
	walkFiles(t, corpus(t, "iptables"), ".rules", func(name string, src []byte) {
		if n++; n%8 == 0 || strings.Contains(name, "edge") {
			sameFile(t, name, Parse(name, src), Parse(name, src, withoutMemo()))
		}
	})
}

// TestShapesCorpus checks over real files that what other files had changes nothing, however many are parsed at the same time.
func TestShapesCorpus(t *testing.T) {
	var names []string
	var texts [][]byte
	walkFiles(t, corpus(t, "iptables"), ".rules", func(name string, src []byte) {
		if len(names) < 400 {
			names, texts = append(names, name), append(texts, src)
		}
	})
	var shapes Shapes
	files := make([]*File, len(names))
	var wait sync.WaitGroup
	for part := range 4 {
		wait.Go(func() {
			for i := part; i < len(names); i += 4 {
				files[i] = Parse(names[i], texts[i], Remember(&shapes))
			}
		})
	}
	wait.Wait()
	if len(shapes.entries[0]) < 100 {
		t.Errorf("only %d shapes were remembered", len(shapes.entries[0]))
	}
	for i, f := range files {
		sameFile(t, names[i], f, Parse(names[i], texts[i]))
	}
}

// TestWorkers checks that the number of workers changes nothing.
func TestWorkers(t *testing.T) {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for _, table := range []string{"nat", "filter"} {
		fmt.Fprintf(&b, "*%s\n:LOG - [0:0]\n", table)
		for i := range 12000 {
			switch r.IntN(40) {
			case 0:
				b.WriteString("-A LOG stray\n")
			case 1:
				fmt.Fprintf(&b, ":c%d - [%d:1]\n", i, i)
			case 2:
				fmt.Fprintf(&b, "-A LOG -m mod%d --x\n", r.IntN(50))
			case 3:
				b.WriteString("# comment\n\n")
			default:
				fmt.Fprintf(&b, "-A LOG -s 10.0.%d.%d/32 -j LOG\n", r.IntN(256), r.IntN(256))
			}
		}
		b.WriteString("COMMIT\n")
	}
	src := b.Bytes()
	want := Parse("f", src, MaxWorkers(1))
	if len(want.Errors) < 100 || len(want.Unknown) < 40 {
		t.Fatalf("%d errors, %d unknown", len(want.Errors), len(want.Unknown))
	}
	for _, n := range []int{2, 3, 7} {
		got := Parse("f", src, MaxWorkers(n))
		sameFile(t, fmt.Sprint(n, " workers"), want, got)
		samePrint(t, got, src)
	}
}

// TestShapeCap checks that a file of ever new shapes is parsed and the memo stays small.
func TestShapeCap(t *testing.T) {
	m := memo{options: table(), entries: map[string]*entry{}}
	for i := range maxShapes + 500 {
		line := fmt.Sprintf("-A INPUT --x%d", i)
		words, _ := splitWords(line, 0, len(line), nil)
		key := appendKey(nil, line, words, &scope{options: m.options})
		if _, _, err := m.entry(key); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.entries) != maxShapes {
		t.Errorf("%d shapes kept", len(m.entries))
	}
}

// TestNoAllocs guards the hot path: a line of a known shape allocates nothing.
func TestNoAllocs(t *testing.T) {
	src := "*filter\n:DOCKER - [0:0]\n[1:2] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -m comment --comment \"a b\" -j DOCKER\nCOMMIT\n"
	f := Parse("f", []byte(src))
	w := newWorker(f, &plan{}, len(src))
	w.block = make([]Word, 0, 1<<16)
	tp := tablePlan{scope: scope{options: table(), chains: map[string]int32{"DOCKER": 2}}}
	l := f.Lines[2]
	w.rule(&l, 2, &tp)
	if n := testing.AllocsPerRun(1000, func() { w.rule(&l, 2, &tp) }); n > 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

// TestGrammar checks that the grammar is participle's and names every line kind.
func TestGrammar(t *testing.T) {
	g := Grammar()
	for _, want := range []string{"LineNode = ", "TableNode = ", "ChainNode = ", "RuleNode = ", "OptionNode = ", `"-A"`} {
		if !strings.Contains(g, want) {
			t.Errorf("no %s in the grammar\n%s", want, g)
		}
	}
}
