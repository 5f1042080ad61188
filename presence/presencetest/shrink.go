package presencetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// This file makes a short script of a long schedule that failed.

// shrinkRuns bounds how many scripts are tried to find a shorter one.
const shrinkRuns = 2000

// shrink leaves out commands as long as what remains breaks the same invariant:
// first halves, then smaller parts, in the end single commands. How a story begins
// and how it heals stays. What happens by chance changes with every command, so
// that what it returns may fail in another way than lines did.
func shrink(lines []string, failed error) []string {
	head := 1 + slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "start ") })
	best, tail := slices.Clone(lines), 0
	if heal := slices.Index(lines, "heal"); heal >= 0 {
		tail = len(lines) - heal
	}
	runs := 0
	try := func(lines []string) bool {
		if runs >= shrinkRuns {
			return false
		}
		runs++
		done, err := play(lines)
		if err == nil || invariant(err) != invariant(failed) {
			return false
		}
		best = done
		return true
	}
	for size := (len(lines) - head - tail) / 2; size > 0; {
		shorter := false
		for from := head; from < len(best)-tail; {
			if try(slices.Delete(slices.Clone(best), from, min(from+size, len(best)-tail))) {
				shorter = true
			} else {
				from += size
			}
		}
		if !shorter || size > 1 {
			size /= 2
		}
	}
	// Two pauses are one.
	for i := head; i+1 < len(best)-tail; i++ {
		first, isWait := strings.CutPrefix(best[i], "wait ")
		second, areWaits := strings.CutPrefix(best[i+1], "wait ")
		if !isWait || !areWaits {
			continue
		}
		a, _ := time.ParseDuration(first)
		b, _ := time.ParseDuration(second)
		if try(slices.Replace(slices.Clone(best), i, i+2, "wait "+(a+b).String())) {
			i--
		}
	}
	return best
}

// play carries out commands until an invariant is broken, and returns the error
// and those commands that were possible up to there.
func play(lines []string) (done []string, violation error) {
	s := newScript()
	for _, line := range lines {
		if perform(s, line) == nil {
			done = append(done, line)
		}
		if s.violation != nil {
			return done, s.violation
		}
	}
	return done, nil
}

var invariantName = regexp.MustCompile(`\b[SL][0-9]+\b|panic`)

// invariant is the name of what was broken.
func invariant(err error) string { return invariantName.FindString(err.Error()) }

// asScript writes commands down as a script for RunScript.
func asScript(err error, lines []string) string {
	why, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Sprintf("# %s\nrun\n%s\n----\n", why, strings.Join(lines, "\n"))
}
