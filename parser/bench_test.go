package parser

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bigDump gives a big dump: the corpus' generator's where it is at hand, else one made here.
func bigDump(t testing.TB, kind string, rules int) []byte {
	t.Helper()
	gen := filepath.Join("..", "..", "shared", "corpus", "big", "gen.py")
	if out, err := exec.Command("python3", gen, kind, fmt.Sprint(rules)).Output(); err == nil {
		return out
	}
	var b bytes.Buffer
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n")
	for i := range rules {
		fmt.Fprintf(&b, "-A DOCKER -d 172.%d.%d.%d/32 ! -i br-%012x -o br-%012x -p tcp -m tcp --dport %d -j ACCEPT\n",
			16+i>>16, i>>8&255, i&255, i, i, i%65536)
	}
	b.WriteString("COMMIT\n")
	return b.Bytes()
}

// split is the least that any parser must do: find lines and words by hand, allocating nothing.
func split(src string) (lines, words int) {
	for src != "" {
		line, rest, _ := strings.Cut(src, "\n")
		src = rest
		lines++
		for at := 0; at < len(line); {
			for at < len(line) && line[at] == ' ' {
				at++
			}
			if at == len(line) {
				break
			}
			words++
			quoted := false
			for at < len(line) && (quoted || line[at] != ' ') {
				if line[at] == '"' {
					quoted = !quoted
				}
				at++
			}
		}
	}
	return lines, words
}

func BenchmarkSplit(b *testing.B) {
	src := string(bigDump(b, "docker", 100000))
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		split(src)
	}
}

// BenchmarkParse parses on one core and reports the time as a multiple of the splitter's
// ("x-splitter").
func BenchmarkParse(b *testing.B) {
	for _, kind := range []string{"docker", "kube", "flat"} {
		b.Run(kind, func(b *testing.B) {
			src := bigDump(b, kind, 100000)
			text := string(src)
			least := time.Hour
			for range 5 {
				start := time.Now()
				split(text)
				least = min(least, time.Since(start))
			}
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if f := Parse("big", src, MaxWorkers(1)); len(f.Errors) > 0 {
					b.Fatal(f.Errors[0])
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(n)/least.Seconds(), "x-splitter")
		})
	}
}

// BenchmarkMemory reports the memory that a parsed file holds, the source included, as a multiple
// of the source ("x-file").
func BenchmarkMemory(b *testing.B) {
	src := bigDump(b, "kube", 500000)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f := Parse("big", src)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(src)), "x-file")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(len(src)), "x-file-total")
		runtime.KeepAlive(f)
	}
}
