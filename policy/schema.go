package policy

import _ "embed"

//go:embed schema.json
var schema string

//go:embed language.md
var page string

// Schema is the JSON schema (draft 2020-12) of policy files.
func Schema() string { return schema }

// Page is the description of the language, in Markdown.
func Page() string { return page }
