package parser

import (
	"errors"
	"io"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// tokenDefinition tells participle the names of our tokens. It cannot read text: what a word is
// depends on the words before it and on the option table, see [scanner].
type tokenDefinition struct{}

// Symbols implements [lexer.Definition].
func (tokenDefinition) Symbols() map[string]lexer.TokenType {
	symbols := map[string]lexer.TokenType{"EOF": lexer.EOF}
	for name, kind := range tokenNames() {
		symbols[name] = lexer.TokenType(kind)
	}
	return symbols
}

// Lex implements [lexer.Definition].
func (tokenDefinition) Lex(string, io.Reader) (lexer.Lexer, error) {
	return nil, errors.New("the grammar is applied to words, not to text")
}

// tokenLexer hands a line's tokens to participle.
type tokenLexer struct {
	tokens []token
	at     int
}

// Next implements [lexer.Lexer].
func (l *tokenLexer) Next() (lexer.Token, error) {
	pos := lexer.Position{Offset: l.at}
	if l.at == len(l.tokens) {
		return lexer.EOFToken(pos), nil
	}
	t := l.tokens[l.at]
	l.at++
	return lexer.Token{Type: lexer.TokenType(t.kind), Value: t.text, Pos: pos}, nil
}

// A tokenError is a token that the grammar does not allow where it stands.
type tokenError struct {
	at   int // index of the token; the number of tokens for the line's end
	code string
	msg  string
}

// parseTokens applies the grammar.
func parseTokens(tokens []token) (*lineNode, *tokenError) {
	peeking, err := lexer.Upgrade(&tokenLexer{tokens: tokens})
	if err == nil {
		var node *lineNode
		if node, err = lineParser().ParseFromLexer(peeking); err == nil {
			return node, nil
		}
	}
	failed := &tokenError{at: len(tokens), code: "syntax", msg: err.Error()}
	var perr participle.Error
	if errors.As(err, &perr) {
		failed.at, failed.msg = perr.Position().Offset, perr.Message()
	}
	return nil, failed
}
