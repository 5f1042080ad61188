package httptransport

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
)

func TestRefusalsOfAnIntakeHaveAnAnswer(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Refused
		ok   bool
	}{
		{nil, Refused{}, false},
		{errors.New("another"), Refused{}, false},
		{context.Canceled, Refused{}, false},
		{intake.ErrGone, Refused{}, true},
		{intake.ErrClosing, Refused{wire.Rejection{Cause: wire.CauseDraining, Code: 503}, "the server is shutting down", ""}, true},
		{&intake.Refusal{Err: intake.ErrAddress, Limit: 3}, Refused{wire.Rejection{Cause: wire.CauseAddress, Limit: 3, Code: 429}, "too many connections from this address", ""}, true},
		{fmt.Errorf("x: %w", &intake.Refusal{Err: intake.ErrCrowded, Limit: 4}), Refused{wire.Rejection{Cause: wire.CauseOverloaded, Limit: 4, Code: 503}, "too many clients are connecting, try again later", intake.RetryAfter}, true},
	} {
		got, ok := RefusedBy(c.err)
		require.Equal(t, c.ok, ok, "%v", c.err)
		require.Equal(t, c.want, got)
	}
}
