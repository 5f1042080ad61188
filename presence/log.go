package presence

import (
	"context"
	"log/slog"
	"strings"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// routine are the changes of status that are as they should be; of all others
// somebody may want to know.
var routine = map[string]bool{
	"up": true, "left": true, "restarted": true, "connected again": true, "fresh epoch": true, "mirror: has room again": true,
}

// logNotice writes a line for n: what happened to which replica as seen by self, with
// the attributes status, why (where there is more to say), replica, epoch and self.
func logNotice(logger *slog.Logger, n replica.Notice, self string) {
	level := slog.LevelWarn
	if routine[n.What] {
		level = slog.LevelInfo
	}
	status, why, more := strings.Cut(n.What, ": ")
	attrs := []slog.Attr{slog.String("status", status)}
	if more {
		attrs = append(attrs, slog.String("why", why))
	}
	attrs = append(attrs, slog.String("replica", n.Replica), slog.Uint64("epoch", n.Epoch), slog.String("self", self))
	logger.LogAttrs(context.Background(), level, "presence: replica "+status, attrs...)
}
