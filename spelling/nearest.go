// Package spelling finds the word that a mistyped one may mean.
package spelling

import "strings"

// Nearest gives the candidate that a mistyped word may mean, or "" where none is near: at most two letters apart, one for
// words of up to four letters. Case does not count.
func Nearest(word string, candidates []string) string {
	best, at := "", 3
	if len(word) <= 4 {
		at = 2
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance counts the letters to be inserted, removed, changed or swapped with the next one.
func distance(a, b string) int {
	before, above := []int{}, make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
