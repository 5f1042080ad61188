package httptransport

import (
	"errors"
	"net/http"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
)

// Intake sets the default of an option that is nil.
func Intake(faults *[]error, value **intake.Intake) {
	if *value != nil {
		return
	}
	own, err := intake.New(intake.Config{})
	if err != nil {
		*faults = append(*faults, err)
	}
	*value = own
}

// A Refused is what to do with a client that an intake did not let in.
type Refused struct {
	// Why is what to tell of it; with the zero Cause, nothing: the client has gone
	// away by itself.
	Why wire.Rejection
	// Reason is what the client is told, and RetryAfter the header of that name,
	// empty for none.
	Reason, RetryAfter string
}

// RefusedBy reports whether err is an intake's, and what to do then.
func RefusedBy(err error) (refused Refused, ok bool) {
	refusal := (*intake.Refusal)(nil)
	switch {
	case errors.Is(err, intake.ErrGone):
		return Refused{}, true
	case errors.Is(err, intake.ErrClosing):
		refused.Reason, refused.Why = err.Error(), wire.Rejection{Cause: wire.CauseDraining, Code: http.StatusServiceUnavailable}
	case !errors.As(err, &refusal):
		return Refused{}, false
	default:
		refused.Reason, refused.Why = refusal.Err.Error(), wire.Rejection{Cause: wire.CauseOverloaded, Limit: refusal.Limit, Code: refusal.Status()}
		if errors.Is(err, intake.ErrAddress) {
			refused.Why.Cause = wire.CauseAddress
		} else {
			refused.RetryAfter = intake.RetryAfter
		}
	}
	return refused, true
}
