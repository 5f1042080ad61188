package cooldown

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestACooldownIsThreeTimesTheUseWithinBounds(t *testing.T) {
	for used, want := range map[time.Duration]time.Duration{
		-time.Second:           0,
		0:                      0,
		2 * time.Microsecond:   0,
		3 * time.Microsecond:   shortest,
		16 * time.Microsecond:  shortest,
		17 * time.Microsecond:  51 * time.Microsecond,
		100 * time.Microsecond: 300 * time.Microsecond,
		time.Millisecond:       3 * time.Millisecond,
		10 * time.Millisecond:  longest,
		time.Hour:              longest,
	} {
		require.Equal(t, want, After(used), used)
	}
}
