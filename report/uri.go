package report

import (
	"net/url"
	"strings"
)

// encodeURI makes a relative path a URI reference: each segment percent-encoded. A colon is encoded too, since a first
// segment with one would read as a scheme (RFC 3986, 4.2).
func encodeURI(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), ":", "%3A")
	}
	return strings.Join(segments, "/")
}
