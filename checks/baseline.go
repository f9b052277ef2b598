package checks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Known is a finding that was there when a baseline was written.
type Known struct {
	Fingerprint string `json:"fingerprint"`
	Check       string `json:"check"`
	Severity    Severity
	// Table, Chain and Message are for people; nothing is compared with them.
	Table, Chain, Message string
}

// BaselineVersion is the version of a baseline's file. It goes up when older programs would misread it.
const BaselineVersion = 1

// A Baseline holds the findings of a day, host by host, so that later runs report new ones only. Its entries are found again by
// fingerprint: counters, lines, bridge names and container addresses may change.
type Baseline struct {
	// Hosts are the entries by the name of the host.
	Hosts map[string][]Known
}

type baselineFile struct {
	Version int                        `json:"version"`
	Hosts   map[string][]baselineEntry `json:"hosts"`
}

type baselineEntry struct {
	Fingerprint string `json:"fingerprint"`
	Check       string `json:"check"`
	Severity    string `json:"severity"`
	Table       string `json:"table,omitempty"`
	Chain       string `json:"chain,omitempty"`
	Message     string `json:"message"`
}

// ReadBaseline reads what [Baseline.Write] wrote. The error tells what is wrong with the text, with the line where JSON ends to
// be JSON.
func ReadBaseline(data []byte) (*Baseline, error) {
	var file baselineFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		at := min(int(dec.InputOffset()), len(data))
		return nil, fmt.Errorf("line %d: not a baseline: %w", 1+bytes.Count(data[:at], []byte("\n")), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("not a baseline: text follows its end")
	}
	if file.Version != BaselineVersion {
		return nil, fmt.Errorf("version %d of the baseline is not known: this program reads version %d", file.Version, BaselineVersion)
	}
	b := &Baseline{Hosts: map[string][]Known{}}
	for host, list := range file.Hosts {
		b.Hosts[host] = []Known{}
		for _, e := range list {
			s, ok := severityNamed(e.Severity)
			if !ok || e.Fingerprint == "" || e.Check == "" {
				return nil, fmt.Errorf("host %q has an entry that is not whole: check %q, fingerprint %q, severity %q", host, e.Check, e.Fingerprint, e.Severity)
			}
			b.Hosts[host] = append(b.Hosts[host], Known{e.Fingerprint, e.Check, s, e.Table, e.Chain, e.Message})
		}
	}
	return b, nil
}

// Write writes the baseline as JSON, sorted, so that two of the same findings are the same text.
func (b *Baseline) Write(w io.Writer) error {
	file := baselineFile{Version: BaselineVersion, Hosts: map[string][]baselineEntry{}}
	for host, list := range b.Hosts {
		file.Hosts[host] = []baselineEntry{}
		list = slices.SortedFunc(slices.Values(list), func(x, y Known) int {
			return cmp.Or(cmp.Compare(x.Check, y.Check), cmp.Compare(x.Table, y.Table), cmp.Compare(x.Chain, y.Chain), cmp.Compare(x.Fingerprint, y.Fingerprint))
		})
		for _, k := range list {
			file.Hosts[host] = append(file.Hosts[host], baselineEntry{k.Fingerprint, k.Check, k.Severity.String(), k.Table, k.Chain, k.Message})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(file)
}

// Of gives the entries for a host: those under its name, or those of the only host where the run is about one host too, since
// the file of a host's rules may have another name today.
func (b *Baseline) Of(host string, alone bool) []Known {
	if list, ok := b.Hosts[host]; ok || !alone || len(b.Hosts) != 1 {
		return list
	}
	for _, list := range b.Hosts {
		return list
	}
	return nil
}

func severityNamed(word string) (Severity, bool) {
	for s := Info; s <= Critical; s++ {
		if s.String() == word {
			return s, true
		}
	}
	return 0, false
}

// record lists findings and what they absorbed as a baseline has them. Those that an ignore is for are left out.
func record(found []*Finding) []Known {
	var out []Known
	for _, f := range found {
		if f.Suppressed == nil || f.Suppressed.Kind == InBaseline {
			out = append(out, Known{f.Fingerprint, f.Check.ID, f.Severity, f.Primary.Table, f.Primary.Chain, f.Message})
			out = append(out, record(f.Absorbs)...)
		}
	}
	return out
}

// stale gives the known findings that are gone. Those of checks that did not run may still be there.
func (s *suppressor) stale(known []Known, ran map[string]bool) []Known {
	var out []Known
	for _, k := range known {
		_, exists := ByID(k.Check)
		if !s.seen[k.Fingerprint] && (ran[k.Check] || !exists) {
			out = append(out, k)
		}
	}
	return out
}
