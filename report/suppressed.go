package report

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// suppressedLine says how many findings are not reported, and why; empty if there are none.
func (r *Report) suppressedLine() string {
	counts := map[checks.SuppressionKind]int{}
	total := 0
	for _, f := range r.Suppressed {
		counts[f.Suppressed.Kind] += Count(f)
		total += Count(f)
	}
	var by []string
	for _, k := range []struct {
		kind checks.SuppressionKind
		text string
	}{{checks.InSource, "by comments in the input"}, {checks.InConfig, "by the configuration"}, {checks.InBaseline, "known from the baseline"}} {
		if n := counts[k.kind]; n > 0 {
			by = append(by, fmt.Sprintf("%d %s", n, k.text))
		}
	}
	if total == 0 {
		return ""
	}
	return plural(total, "finding") + " suppressed: " + strings.Join(by, ", ") + "."
}

// jsonSuppressed is a finding that is not reported.
type jsonSuppressed struct {
	Check       string       `json:"check"`
	Name        string       `json:"name"`
	Severity    string       `json:"severity"`
	Message     string       `json:"message"`
	Location    jsonLocation `json:"location"`
	Fingerprint string       `json:"fingerprint"`
	// Kind is "source", "config" or "baseline".
	Kind   string `json:"kind"`
	Reason string `json:"reason,omitempty"`
}

func (r *Report) jsonSuppressed(f *checks.Finding) jsonSuppressed {
	kind := map[checks.SuppressionKind]string{checks.InSource: "source", checks.InConfig: "config", checks.InBaseline: "baseline"}
	return jsonSuppressed{
		Check: f.Check.ID, Name: f.Check.Name, Severity: f.Severity.String(), Message: f.Message, Location: r.jsonLocation(f.Primary, ""),
		Fingerprint: f.Fingerprint, Kind: kind[f.Suppressed.Kind], Reason: f.Suppressed.Reason,
	}
}

// suppressed is a result that a viewer should show as dealt with. All of a suppression's members are set: go-sarif would write
// null for the others, which the schema refuses (SARIF 2.1.0, 3.35).
func (s sarifWriter) suppressed(f *checks.Finding) *sarif.Result {
	r := s.result(f)
	kind, reason := "external", f.Suppressed.Reason
	if f.Suppressed.Kind == checks.InSource {
		kind = "inSource"
	}
	at := s.location(placeOf(f.Primary))
	if f.Suppressed.At.File != nil {
		at = s.location(placeOf(f.Suppressed.At))
	}
	if f.Suppressed.Kind == checks.InBaseline {
		reason = "Known from the baseline."
		r.WithBaselineState("unchanged")
	}
	r.PartialFingerprints = map[string]any{"primaryLocationLineHash": f.Fingerprint}
	guid := guidOf(f.Fingerprint, reason)
	r.AddSuppression(sarif.NewSuppression(kind).WithStatus("accepted").WithLocation(at).WithGuid(guid).WithJustifcation(reason))
	return r
}

// guidOf makes a UUID of texts, so that a report is the same whenever it is made. It is marked as version 5, name-based: SARIF's schema
// knows the versions 1 to 5 only.
func guidOf(texts ...string) string {
	h := []byte((hash(append([]string{"a"}, texts...)...) + hash(append([]string{"b"}, texts...)...))[:32])
	h[12], h[16] = '5', '8'
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:32])
}
