package report

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// hash gives 16 hexadecimal digits that stand for some words.
func hash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:8])
}
