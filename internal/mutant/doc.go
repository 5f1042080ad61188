// Package mutant checks that tests notice when what they test is removed. A table
// names rules, each with the edits of the source that remove it and the test that
// must then fail:
//
//	# what the rule is for
//	rule its name: killer
//	path/of/a/file.go
//	-the lines that are it
//	+what stands there without it, if anything
//
// Rules are separated by empty lines. More edits, in the same file or with another
// path before them, may follow. Lines that stay stand as both - and +, where they
// are needed to make the place the only one of its kind.
//
// That the lines are there, once, is checked always ([Rule.Apply]), so that the
// table stays true; [Rule.Kill] builds the mutant through an overlay, runs the
// killer on it, and requires that it fails; [Rule.Build] and [Mutant.Kill] do it
// for several killers. The source itself is not touched, and
// several rules may be killed at once.
package mutant
