// Package script reads what people write and paste: shell scripts of iptables commands, and text in which such commands stand
// between prompts and prose. The commands are carried out in their order, as a shell and the kernel would, so that the rules can
// be looked at like those of a dump. Every rule knows the line of the script that made it.
//
// Nothing is run. Variables and loops over words that stand in the script are followed. What cannot be known without running
// it, the output of a command or a variable from outside, stays an unknown value: the rule is kept, and the condition in which
// the value stands is one of which nothing is believed. Every such guesswork left out, and every assumption made, is a note.
package script
