package parser

import (
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar of a line of iptables-save and iptables-restore. Its tokens come from [scanner], which
// asks the option table how many values an option has; a token's Pos.Offset is its index.

type lineNode struct {
	Comment bool       `parser:"  @Hash"`
	Commit  bool       `parser:"| @Commit"`
	Table   *tableNode `parser:"| @@"`
	Chain   *chainNode `parser:"| @@"`
	Rule    *ruleNode  `parser:"| @@"`
}

// *filter
type tableNode struct {
	Name lexer.Token `parser:"Star @Name Extra*"`
}

// :INPUT ACCEPT [0:0]
type chainNode struct {
	Name     lexer.Token `parser:"Colon @Name"`
	Policy   lexer.Token `parser:"@Name"`
	Counters lexer.Token `parser:"@Counters? Extra*"`
}

// [0:0] -A INPUT ! -i lo -p tcp -m tcp --dport 22 -j DROP
type ruleNode struct {
	Counters lexer.Token `parser:"@Counters?"`
	Parts    []*partNode `parser:"@@+"`
}

// iptables-restore takes the command and the options in any order.
type partNode struct {
	Command *commandNode `parser:"  @@"`
	Option  *optionNode  `parser:"| @@"`
}

// -A INPUT, -I INPUT 3, -P INPUT DROP, -F, -Z INPUT 3
type commandNode struct {
	Append []lexer.Token `parser:"  @( ('-A':Command | '-C':Command | '-N':Command) Operand )"`
	Insert []lexer.Token `parser:"| @( ('-I':Command | '-D':Command) Operand Operand? )"`
	Set    []lexer.Token `parser:"| @( ('-R':Command | '-P':Command | '-E':Command) Operand Operand )"`
	Clear  []lexer.Token `parser:"| @( ('-F':Command | '-X':Command) Operand? )"`
	List   []lexer.Token `parser:"| @( ('-L':Command | '-S':Command | '-Z':Command) (Operand Operand?)? )"`
}

// ! --dport 80; up to iptables 1.4.1 also "-s ! 10.0.0.0/8"
type optionNode struct {
	Not   []lexer.Token `parser:"@Bang?"`
	Words []lexer.Token `parser:"@( Flag | Option OldBang? Value | Pair OldBang? Value Value | Maybe OldBang? Value? | Unknown (OldBang? Value+)? )"`
}

// lineParser gives the parser that participle makes of the grammar.
var lineParser = sync.OnceValue(func() *participle.Parser[lineNode] {
	return participle.MustBuild[lineNode](participle.Lexer(tokenDefinition{}))
})

// Grammar returns the grammar of a line in participle's EBNF.
func Grammar() string { return lineParser().String() }

// words are a command's tokens, whatever kind it is of.
func (c *commandNode) words() []lexer.Token {
	for _, t := range [][]lexer.Token{c.Append, c.Insert, c.Set, c.Clear} {
		if t != nil {
			return t
		}
	}
	return c.List
}
