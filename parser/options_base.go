package parser

// baseExtension holds the options that every rule may have, whatever its modules
// (iptables/iptables.c, original_opts). They come before any module's options of the same name.
func baseExtension() *Extension {
	return &Extension{Kind: ExtBase, V4: true, V6: true, Options: []OptionDef{
		one("-s", "HOST[/MASK][,…]").not().alias("--source", "--src"),
		one("-d", "HOST[/MASK][,…]").not().alias("--destination", "--dst"),
		one("-i", "IF").not().alias("--in-interface"),
		one("-o", "IF").not().alias("--out-interface"),
		one("-p", "PROTO").not().alias("--protocol"),
		flag("-f").not().alias("--fragments"),
		two("-c", "PACKETS BYTES").alias("--set-counters"),
		one("-m", "MODULE").many().alias("--match"),
		one("-j", "TARGET").alias("--jump"),
		one("-g", "CHAIN").alias("--goto"),
		flag("-4").many().alias("--ipv4"),
		flag("-6").many().alias("--ipv6"),
		flag("-v").many().alias("--verbose"),
		one("-M", "COMMAND").alias("--modprobe"),
		one("-t", "TABLE").alias("--table"),
		flag("-n").many().alias("--numeric"),
		flag("-x").many().alias("--exact"),
		flag("-w").alias("--wait"),
		flag("-W").alias("--wait-interval"),
		flag("--line-numbers"),
		flag("-h").alias("--help"),
		flag("-V").alias("--version"),
	}}
}

// A commandDef is a command of iptables: its letter, its long name, and how many operands follow.
type commandDef struct {
	letter byte
	long   string
	// least and most count the operands: the chain, then a rule number, policy or new name.
	least, most int
}

// commands are those of iptables.c. Where fewer than most operands are needed, the next word is an
// operand unless it begins with '-' or '!'.
func commands() []commandDef {
	return []commandDef{
		{'A', "--append", 1, 1},
		{'D', "--delete", 1, 2},
		{'C', "--check", 1, 1},
		{'I', "--insert", 1, 2},
		{'R', "--replace", 2, 2},
		{'L', "--list", 0, 2},
		{'S', "--list-rules", 0, 2},
		{'F', "--flush", 0, 1},
		{'Z', "--zero", 0, 2},
		{'N', "--new-chain", 1, 1},
		{'X', "--delete-chain", 0, 1},
		{'E', "--rename-chain", 2, 2},
		{'P', "--policy", 2, 2},
	}
}
