package httptransport

import (
	"fmt"
	"time"
)

// Positive sets the default of an option that is zero and finds fault with one
// that is negative.
func Positive[T int | time.Duration](faults *[]error, name string, value *T, zero T) {
	switch {
	case *value < 0:
		*faults = append(*faults, fmt.Errorf("%s: %v is negative", name, *value))
	case *value == 0:
		*value = zero
	}
}
