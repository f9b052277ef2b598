package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// fallbackWidth is that of a line where the output is no terminal and nothing else says how wide it is.
const fallbackWidth = 100

// terminalSize gives the width of the terminal that w is; ok is false where it is none.
func terminalSize(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return fallbackWidth, true
	}
	return width, true
}

// lineWidth decides how wide lines may be: the flag, the terminal, COLUMNS, or a default. 0 means no limit.
func (c console) lineWidth(flag int) (int, error) {
	if flag == 0 || flag >= 40 {
		return flag, nil
	}
	if flag > 0 {
		return 0, fmt.Errorf("--width %d is too narrow: use 40 or more, or 0 for no limit", flag)
	}
	if w, ok := terminalSize(c.out); ok {
		return max(w, 40), nil
	}
	if w, err := strconv.Atoi(c.getenv("COLUMNS")); err == nil && w > 0 {
		return max(w, 40), nil
	}
	return fallbackWidth, nil
}

// color decides whether to colour: the flag; NO_COLOR (no-color.org); FORCE_COLOR and CLICOLOR_FORCE; then whether the
// output is a terminal that can.
func (c console) color(flag string) (bool, error) {
	switch flag {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
	default:
		return false, fmt.Errorf("--color %q: use auto, always or never", flag)
	}
	if c.getenv("NO_COLOR") != "" {
		return false, nil
	}
	for _, name := range []string{"FORCE_COLOR", "CLICOLOR_FORCE"} {
		if v := c.getenv(name); v != "" && v != "0" {
			return true, nil
		}
	}
	_, terminal := terminalSize(c.out)
	return terminal && c.getenv("TERM") != "dumb", nil
}
