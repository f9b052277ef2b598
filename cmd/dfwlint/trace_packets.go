package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dfwlint/dfwlint/packet"
	"github.com/dfwlint/dfwlint/report"
)

// A refusal is the answer to a line that is no packet.
type refusal struct {
	Error string `json:"error"`
	// Line is its place in the file of packets, counted from 1.
	Line int `json:"line"`
}

// stream answers each packet of a file with a line. A line that is no packet gets an object that says so, and the exit status
// becomes 3: the input was only partly understood.
func (f *traceFlags) stream(c console, t *tracing) error {
	in := c.in
	if f.packets != "-" {
		file, err := os.Open(f.packets)
		if err != nil {
			fmt.Fprintf(c.err, "error: --packets: %v\n", err)
			return exitStatus(report.ExitInput)
		}
		defer file.Close()
		in = file
	}
	r := bufio.NewReaderSize(in, 64<<10)
	w := bufio.NewWriterSize(c.out, 64<<10)
	bad := false
	for line := 1; ; line++ {
		text, err := r.ReadBytes('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 {
			ok, werr := f.answer(w, t, text, line)
			if werr != nil {
				return fmt.Errorf("cannot write: %w", werr)
			}
			bad = bad || !ok
		}
		// Whoever asks one packet at a time waits for the answer.
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return fmt.Errorf("cannot write: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintf(c.err, "error: --packets: %v\n", err)
			bad = true
			break
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if bad {
		return exitStatus(report.ExitInput)
	}
	return t.machine.status()
}

// answer writes the answer to one line; ok is false where it is an error.
func (f *traceFlags) answer(w io.Writer, t *tracing, text []byte, line int) (ok bool, err error) {
	var request packet.Request
	refuse := request.UnmarshalJSON(text)
	if refuse == nil {
		conn, err := t.follow(request)
		if err == nil {
			if f.format == "text" && line > 1 {
				if _, err := io.WriteString(w, "\n"); err != nil {
					return false, err
				}
			}
			return true, t.write(w, conn, f.format)
		}
		refuse = err
	}
	if f.format == "text" {
		_, err = fmt.Fprintf(w, "line %d: %v\n", line, refuse)
		return false, err
	}
	return false, writeLine(w, refusal{refuse.Error(), line})
}
