package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dfwlint/dfwlint/netfilter"
)

// A ConnectionObject is a request's trace in the trace contract with the answer to it.
type ConnectionObject struct {
	*TraceObject
	Reply      *TraceObject `json:"reply,omitempty"`
	Connection string       `json:"connection"`
	// Why says what no trace shows: who answers, or why nobody does.
	Why string `json:"connection_note,omitempty"`
}

// NewConnectionObject describes a connection.
func NewConnectionObject(c *netfilter.Connection, o TraceObjectOptions) *ConnectionObject {
	out := &ConnectionObject{TraceObject: NewTraceObject(c.Request, o), Connection: c.Result.String(), Why: c.Note}
	if c.Reply != nil {
		out.Reply = NewTraceObject(c.Reply, o)
	}
	return out
}

// ConnectionText draws a request's way, the answer's, and says whether the connection would get an answer.
func ConnectionText(w io.Writer, c *netfilter.Connection, o TraceOptions) error {
	if err := TraceText(w, c.Request, o); err != nil {
		return err
	}
	var b strings.Builder
	if c.Reply != nil {
		b.WriteString("\nthe answer: ")
		if err := TraceText(&b, c.Reply, o); err != nil {
			return err
		}
	}
	words := map[netfilter.Result]string{
		netfilter.Answered: "answered: an answer comes back",
		netfilter.Rejected: "rejected: the sender is told so",
		netfilter.Silent:   "silent: nothing comes back",
	}
	text, ok := words[c.Result]
	if !ok {
		text = "unknown: it cannot be told whether an answer comes back"
	}
	if c.Note != "" {
		text += "; " + c.Note
	}
	ink := verdictInk(c.Result != netfilter.Answered)
	fmt.Fprintf(&b, "\nconnection %s\n", style(o.Color).ink(ink, hang("", 0, text, o.Width)))
	_, err := io.WriteString(w, b.String())
	return err
}
