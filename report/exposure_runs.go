package report

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/dfwlint/dfwlint/exposure"
	"github.com/dfwlint/dfwlint/netfilter"
)

// shortestRun is how many ports in a row, of which the same is told, are told as a range: the ports of a telephone exchange, say.
const shortestRun = 3

// exposureRuns takes a table's entries apart into those of one port each, one for each family, and those of ports that follow one another and are reached
// alike together. The elements of a run are its ports' entries.
func exposureRuns(entries []*exposure.Entry, o ExposureOptions) [][][]*exposure.Entry {
	var ports [][]*exposure.Entry
	for i, e := range entries {
		if i > 0 && samePort(entries[i-1], e) {
			ports[len(ports)-1] = append(ports[len(ports)-1], e)
			continue
		}
		ports = append(ports, []*exposure.Entry{e})
	}
	var out [][][]*exposure.Entry
	for lo := 0; lo < len(ports); {
		hi := lo + 1
		for hi < len(ports) && follows(ports[hi-1], ports[hi], o) {
			hi++
		}
		if hi-lo >= shortestRun {
			out = append(out, ports[lo:hi])
			lo = hi
			continue
		}
		out = append(out, ports[lo:lo+1])
		lo++
	}
	return out
}

func samePort(a, b *exposure.Entry) bool {
	return a.Kind == exposure.Published && b.Kind == a.Kind && a.HostPort != 0 && a.HostPort == b.HostPort && a.Proto == b.Proto && a.Container == b.Container
}

// follows says whether the entries of the next port say the same as those of one.
func follows(a, b []*exposure.Entry, o ExposureOptions) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Kind != exposure.Published || y.Kind != x.Kind || x.HostPort == 0 || x.V6 != y.V6 || x.Proto != y.Proto || x.HostIP != y.HostIP ||
			x.Container != y.Container || x.Addr != y.Addr || int(y.HostPort) != int(x.HostPort)+1 ||
			len(x.Ports) != 1 || len(y.Ports) != 1 || x.Ports[0].Lo != x.Ports[0].Hi || y.Ports[0].Lo != y.Ports[0].Hi || int(y.Ports[0].Lo) != int(x.Ports[0].Lo)+1 {
			return false
		}
		if !slices.EqualFunc(entryRows(x, o), entryRows(y, o), func(p, q exposureRow) bool { return p.by == q.by && p.from == q.from && p.closed == q.closed }) {
			return false
		}
		alike := func(v, w *exposure.Way) bool {
			return slices.EqualFunc(v.Steps, w.Steps, func(s, t netfilter.Step) bool { return s.Chain == t.Chain && (s.Rule == nil) == (t.Rule == nil) })
		}
		if !slices.EqualFunc(x.Ways, y.Ways, alike) || len(x.Ways) == 0 && placeOfClosed(x, o) != placeOfClosed(y, o) {
			return false
		}
	}
	return true
}

// runRows are the table's lines for a run: those of its first port, with what the others add.
func runRows(run [][]*exposure.Entry, o ExposureOptions) []exposureRow {
	var out []exposureRow
	for i, e := range run[0] {
		rows := entryRows(e, o)
		if last := run[len(run)-1][i]; len(run) > 1 {
			whole := *e
			whole.Ports = []exposure.Span{{Lo: e.Ports[0].Lo, Hi: last.Ports[0].Hi}}
			for k := range rows {
				rows[k].what = exposureWhat(&whole)
				rows[k].as += "-" + strconv.Itoa(int(last.HostPort))
				if len(e.Ways) == 0 {
					continue
				}
				var steps [][]netfilter.Step
				for _, port := range run {
					steps = append(steps, port[i].Ways[k].Steps)
				}
				rows[k].rules = exposurePlaces(steps, o)
			}
		}
		out = append(out, rows...)
	}
	return out
}

// lines writes the lines of the rules that let several ports through: "40-60", and "40…90" where others are between them.
func lines(list []int) string {
	lo, hi := slices.Min(list), slices.Max(list)
	list = slices.Clone(list)
	slices.Sort(list)
	switch {
	case lo == hi:
		return strconv.Itoa(lo)
	case len(slices.Compact(list)) == hi-lo+1:
		return fmt.Sprintf("%d-%d", lo, hi)
	}
	return fmt.Sprintf("%d…%d", lo, hi)
}
