package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dfwlint/dfwlint/checks"
)

// findCheck finds a check by ID or name, whatever the case.
func findCheck(word string) (*checks.Check, error) {
	var words []string
	for _, c := range checks.Registry() {
		if strings.EqualFold(word, c.ID) || strings.EqualFold(word, c.Name) {
			return c, nil
		}
		words = append(words, c.ID, c.Name)
	}
	if s := nearest(word, words); s != "" {
		return nil, fmt.Errorf("there is no check %q; do you mean %s?", word, s)
	}
	return nil, fmt.Errorf("there is no check %q; `dfwlint checks` lists them", word)
}

// selectChecks gives the checks that a run uses: those selected (all, if none are), less those disabled. A word is an ID, a
// name, or the letters that a group of IDs begins with, such as DU.
func selectChecks(selected, disabled []string) ([]*checks.Check, error) {
	out := checks.Registry()
	if len(selected) > 0 {
		chosen, err := matching(selected)
		if err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(out, func(c *checks.Check) bool { return !chosen[c.ID] })
	}
	off, err := matching(disabled)
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(c *checks.Check) bool { return off[c.ID] })
	if len(out) == 0 {
		return nil, fmt.Errorf("no check is left to run")
	}
	return out, nil
}

// matching gives the IDs that words stand for.
func matching(words []string) (map[string]bool, error) {
	ids := map[string]bool{}
	for _, w := range words {
		found := false
		for _, c := range checks.Registry() {
			if strings.EqualFold(w, strings.TrimRight(c.ID, "0123456789")) {
				ids[c.ID], found = true, true
			}
		}
		if found {
			continue
		}
		c, err := findCheck(w)
		if err != nil {
			return nil, err
		}
		ids[c.ID] = true
	}
	return ids, nil
}
