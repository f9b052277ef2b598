// Package format gives the canonical text of rules: what iptables-restore followed by iptables-save would
// print, without root. Tables and chains keep the file's order, since theirs differs between hosts and means
// nothing.
//
// A save is canonical already, and most of its lines repeat a few patterns with other addresses, ports and
// names. So a file is first looked at line by line: the first rule of each pattern is parsed, built and printed,
// which proves the pattern; further rules of it are only checked to differ in values that cannot matter.
// If every line is proven the text is the answer. Otherwise the whole file is built and printed anew.
package format
