package main

import "github.com/dfwlint/dfwlint/spelling"

// nearest gives the candidate that a mistyped word may mean, or "".
func nearest(word string, candidates []string) string {
	return spelling.Nearest(word, candidates)
}
