package report

import (
	"fmt"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

// A Threshold is the severity from which on findings count. The zero value is info: all of them.
type Threshold struct {
	Severity checks.Severity
	// Never means that none does.
	Never bool
}

// Reached says whether a severity is at or above the threshold.
func (t Threshold) Reached(s checks.Severity) bool { return !t.Never && s >= t.Severity }

func (t Threshold) String() string {
	if t.Never {
		return "none"
	}
	return t.Severity.String()
}

// ParseThreshold reads critical, high, medium, low, info or none.
func ParseThreshold(word string) (Threshold, error) {
	if strings.EqualFold(word, "none") {
		return Threshold{Never: true}, nil
	}
	s, err := ParseSeverity(word)
	if err != nil {
		return Threshold{}, fmt.Errorf("%w or none", err)
	}
	return Threshold{Severity: s}, nil
}

// ParseSeverity reads critical, high, medium, low or info.
func ParseSeverity(word string) (checks.Severity, error) {
	for _, s := range Severities() {
		if strings.EqualFold(word, s.String()) {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q is no severity: use critical, high, medium, low, info", word)
}

// Severities lists all, the most severe first.
func Severities() []checks.Severity {
	return []checks.Severity{checks.Critical, checks.High, checks.Medium, checks.Low, checks.Info}
}
