package hostfacts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// An Issue is something in a file that could not be understood. Line and Col count from 1; both are 0 where the whole
// file is meant.
type Issue struct {
	Line, Col int
	Msg       string
}

func (i Issue) String() string {
	switch {
	case i.Line == 0:
		return i.Msg
	case i.Col == 0:
		return fmt.Sprintf("%d: %s", i.Line, i.Msg)
	}
	return fmt.Sprintf("%d:%d: %s", i.Line, i.Col, i.Msg)
}

// issueAt makes an Issue of a byte offset.
func issueAt(data []byte, off int, format string, args ...any) Issue {
	off = max(0, min(off, len(data)))
	before := data[:off]
	return Issue{
		Line: bytes.Count(before, []byte{'\n'}) + 1,
		Col:  off - bytes.LastIndexByte(before, '\n'),
		Msg:  fmt.Sprintf(format, args...),
	}
}

// trimBOM drops the byte order mark that some editors write.
func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// blank says whether a file holds nothing but white space: what a failed command leaves behind.
func blank(data []byte) bool { return len(bytes.TrimSpace(trimBOM(data))) == 0 }

// An element is one object of a JSON list, with its offset in the file.
type element struct {
	raw json.RawMessage
	off int
}

// elements splits a JSON text into its objects. It takes a list, several lists one after another (docker inspect run
// by xargs) and objects one a line. Empty objects are left out: `ip -j addr show dev X` of iproute2 4 prints one for
// each device that it skips.
func elements(data []byte) (list []element, issues []Issue) {
	for pos := 0; ; {
		rest := data[pos:]
		if blank(rest) {
			return list, nil
		}
		dec := json.NewDecoder(bytes.NewReader(rest))
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, []Issue{syntaxIssue(data, pos, err)}
		}
		end := pos + int(dec.InputOffset())
		start := end - len(raw)
		if raw[0] == '[' {
			list = append(list, inner(raw, start)...)
		} else {
			list = append(list, element{raw, start})
		}
		pos = end
	}
}

// inner gives the elements of a list that is known to be well-formed.
func inner(raw json.RawMessage, off int) (list []element) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		var e json.RawMessage
		if dec.Decode(&e) != nil {
			return list
		}
		if string(bytes.Join(bytes.Fields(e), nil)) == "{}" {
			continue
		}
		list = append(list, element{e, off + int(dec.InputOffset()) - len(e)})
	}
	return list
}

// syntaxIssue says where JSON text breaks.
func syntaxIssue(data []byte, pos int, err error) Issue {
	var se *json.SyntaxError
	switch {
	case errors.As(err, &se):
		return issueAt(data, pos+int(se.Offset)-1, "this is not JSON: %s", se.Error())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return issueAt(data, len(data), "the JSON ends too early: the file is cut off")
	}
	return issueAt(data, pos, "this is not JSON: %v", err)
}

// decode reads one element into v; what does not fit is an Issue at its place.
func (e element) decode(data []byte, v any) []Issue {
	err := json.Unmarshal(e.raw, v)
	var te *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &te) && te.Field == "":
		return []Issue{issueAt(data, e.off, "an object is expected here, not: %s", te.Value)}
	case errors.As(err, &te):
		return []Issue{issueAt(data, e.off+int(te.Offset)-1, "the value of %s has the wrong type: %s", te.Field, te.Value)}
	}
	return []Issue{issueAt(data, e.off, "%v", err)}
}

// issue is an Issue at the element's place.
func (e element) issue(data []byte, format string, args ...any) Issue {
	return issueAt(data, e.off, format, args...)
}
