// Package checks holds dfwlint's checks, one file each, and what they share: findings, their severities,
// the pass that a check runs in, and the pages that explain, document and test them.
//
// # Writing a check
//
// A check touches three places, and a test fails when one of them is missing or stale:
//
//   - ex001_published_bypasses_host_policy.go holds a function ex001() that returns its [Check], and the Run function;
//   - docs/EX001.md holds its page: "# EX001 published-bypasses-host-policy", a first paragraph, and the sections Bad,
//     Good, Why, How to fix, When not to worry and References. The page is what "explain" prints, and it is the
//     test: each fenced block of language iptables below Bad is a dump (or several, IPv4 and IPv6 say) in which a line
//     `# want "regexp"` stands before each line that must be reported, and nothing else may be; blocks below Good must be
//     clean. A line "# also ORD001" in a block allows a finding of another check there. Fenced blocks before a dump whose
//     fence also names a file, as in "json docker-info.json", are its context: what --context would read from a directory;
//   - Registry has a line for it.
//
// Run gets a [Pass]: the host's rulesets and facts, the Docker view, and one [View] a family with the walks, computed
// when they are first needed and shared by all checks. A typical body:
//
//	for _, v := range p.Views {
//		flow := v.FromOutside()                    // what anybody outside can send, as a connection's first packets
//		for _, rs := range v.Sets {
//			for r := range rs.AllRules() {
//				if !p.IsUser(r) {                       // never nag about the rules of Docker and other programs
//					continue
//				}
//				bad := flow.Hits(r).Intersect(…)        // exact sets of packets, as they are at the rule
//				proof := v.Prove(bad, "a connection from the Internet to port 8080", DecidedBy(r))
//				if proof == nil {                       // the claim could not be shown: nothing is reported
//					continue
//				}
//				f := p.At(r, "Port 8080 is …, ends in a full stop.")
//				f.Proof = proof
//				f.Related = append(f.Related, p.See(other, "DNAT happens here"))
//				f.Help = Help{Text: "…", Commands: []string{v.Insert(r.Chain, 1, "-i eth0 …")}}
//				p.Report(f)
//			}
//		}
//	}
//
// Rules of the house. A claim is made only where it is certain: what rests on something that the input does not tell is
// marked Possible with its Assumptions, which lowers its precision by one step, and low precision is shown only
// with --pedantic. A finding about reachability carries a proof, that is a packet whose concrete trace agrees with the claim.
// A finding about the host around its rules, which no line of a dump tells, begins with AtHost.
// Set Identity where the rule's text would name what Docker assigns anew; Subjects where the finding is about more than
// the rule it points at (a published port, the dead rules behind a RETURN); Group where one cause makes many findings.
//
// # The corpus
//
// The checks are held against dumps that nobody wrote for them: hosts with every release of Docker, healthy and with one mistake
// each (testdata/expect_healthy.txt, expect_misconfig.txt), public dumps whose owners said what is wrong (expect_real.txt), and the
// advice of well-known texts (statements_test.go). To see what is found, what is missed and which share that is:
//
//	go test ./checks -run Corpus -v
//	go test ./checks -run CorpusReal -v -corpus DIR
//
// DIR holds the folders docker and real; without it the place beside the project is taken, and without that the tests are skipped. A
// defect that no check finds fails the test, unless its check is not registered yet, which is logged. The list of all checks,
// docs/README.md, is made by "DFWLINT_UPDATE=1 go test ./report -run ChecksIndex".
package checks
