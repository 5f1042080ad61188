package channel

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// version is major, minor, patch.
type version [3]int

var errVsnForm = errors.New("not of the form x.y.z")

func parseVersion(text string) (v version, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != len(v) {
		return version{}, errVsnForm
	}
	for i, part := range parts {
		u, err := strconv.ParseUint(part, 10, 31)
		if err != nil || len(part) > 1 && part[0] == '0' {
			return version{}, errVsnForm
		}
		v[i] = int(u)
	}
	return v, nil
}

// A requirement tells which versions a serializer serves, in Elixir's notation
// (rows B004, B043): comparisons joined by "and" and "or", of which "and" binds
// more tightly.
//
//	~> 2.0.1   2.0.1 and above, below 2.1.0
//	~> 2.1     2.1.0 and above, below 3.0.0
//	>= 1.2.0   also >, <, <=, == and !=; none is ==
type requirement [][]comparison // one of the lists must hold whole

type comparison struct {
	op string
	v  version
	// below is where "~>" ends.
	below version
}

// comparisons by their texts; one that begins like another comes first.
var operators = []string{"~>", ">=", "<=", "==", "!=", ">", "<"}

func parseRequirement(text string) (requirement, error) {
	var r requirement
	for alternative := range strings.SplitSeq(text, " or ") {
		var all []comparison
		for part := range strings.SplitSeq(alternative, " and ") {
			c, err := parseComparison(strings.TrimSpace(part))
			if err != nil {
				return nil, fmt.Errorf("%q is no requirement of versions: %w", text, err)
			}
			all = append(all, c)
		}
		r = append(r, all)
	}
	return r, nil
}

func parseComparison(text string) (c comparison, err error) {
	c.op = "=="
	for _, op := range operators {
		if rest, ok := strings.CutPrefix(text, op); ok {
			c.op, text = op, strings.TrimSpace(rest)
			break
		}
	}
	full := c.op != "~>" || strings.Count(text, ".") != 1
	if !full {
		text += ".0"
	}
	if c.v, err = parseVersion(text); err != nil {
		return comparison{}, err
	}
	c.below = version{c.v[0] + 1}
	if full {
		c.below = version{c.v[0], c.v[1] + 1}
	}
	return c, nil
}

func (r requirement) allows(v version) bool {
	return slices.ContainsFunc(r, func(all []comparison) bool {
		return !slices.ContainsFunc(all, func(c comparison) bool { return !c.allows(v) })
	})
}

func (c comparison) allows(v version) bool {
	order := slices.Compare(v[:], c.v[:])
	switch c.op {
	case "~>":
		return order >= 0 && slices.Compare(v[:], c.below[:]) < 0
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	case "!=":
		return order != 0
	}
	return order == 0
}
