package parser

// ExtKind says where an extension's options may stand.
type ExtKind uint8

// The kinds of extension.
const (
	ExtBase   ExtKind = iota // -s, -d, -i, -o, -p, -f, -j, -g, -m
	ExtMatch                 // after -m NAME
	ExtTarget                // after -j NAME
)

// An Extension is a match or target module with its options.
// The source is iptables 1.8.11's extensions, with options of older releases marked.
type Extension struct {
	Kind ExtKind
	Name string
	// Aliases are other names that -m accepts for it: "ipv6-icmp" for "icmp6".
	Aliases []string
	// V4 and V6 say for which families the module exists.
	V4, V6 bool
	// Old says that iptables 1.8.11 no longer has it.
	Old bool
	// Options stand in the order in which iptables-save prints them.
	Options []OptionDef
}

// ValueCount is how many words follow an option.
type ValueCount uint8

// The counts that occur.
const (
	NoValue ValueCount = iota
	OneValue
	TwoValues
	OptionalValue
)

// Quoting is how iptables-save prints an option's value.
type Quoting uint8

// The ways: as it is, in quotes where needed, always in quotes.
const (
	QuoteNever Quoting = iota
	QuoteIfNeeded
	QuoteAlways
)

// An OptionDef is one row of the option table.
type OptionDef struct {
	// Name is the option as iptables-save prints it, dashes included: "--dport", "-s".
	Name string
	// Aliases are other names that iptables-restore accepts: "--destination-port", "--source".
	Aliases    []string
	Values     ValueCount
	Negatable  bool
	Repeatable bool
	Quoting    Quoting
	// SaveOrder is the place of the option in iptables-save's output within its module.
	SaveOrder int
	// Type names the value's syntax in the man page's words, such as "PORT[:PORT]".
	Type string
	// Old says that iptables 1.8.11 no longer takes the option.
	Old bool
}
