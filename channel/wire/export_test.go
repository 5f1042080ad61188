package wire

// Open is how many channels the limit of a session counts.
func Open(s *Session) int { return int(s.open) }

// Alive is how many channels of a session are not gone.
func Alive(s *Session) int { return len(s.entries) }
