package presencetest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSim(t *testing.T) {
	for seed := range uint64(100) {
		require.NoError(t, Schedule(seed, 200))
	}
}
