package load

// scanner reads JSON without allocating. It accepts all JSON except for deep
// nesting, and some input that is not JSON: the input comes from the server under
// test. Any value that is not an object, array or string is a word of the characters
// of numbers and literals.
type scanner struct {
	data []byte
	at   int
}

// maxDepth limits the nesting that skip accepts.
const maxDepth = 64

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// accept consumes b if it is next.
func (s *scanner) accept(b byte) bool {
	if s.space(); s.at < len(s.data) && s.data[s.at] == b {
		s.at++
		return true
	}
	return false
}

// text reads a string and returns the bytes between its quotes.
func (s *scanner) text() ([]byte, error) {
	if !s.accept('"') {
		return nil, errPresences
	}
	for start := s.at; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.data[start : s.at-1], nil
		}
	}
	return nil, errPresences
}

// object reads an object. field must read the value of each name.
func (s *scanner) object(field func(name []byte) error) error {
	if !s.accept('{') {
		return errPresences
	}
	return s.list('}', func() error {
		name, err := s.text()
		if err != nil || !s.accept(':') {
			return errPresences
		}
		s.space()
		return field(name)
	})
}

// array reads an array. element must read each element.
func (s *scanner) array(element func() error) error {
	if !s.accept('[') {
		return errPresences
	}
	return s.list(']', element)
}

func (s *scanner) list(end byte, item func() error) error {
	if s.accept(end) {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if s.accept(end) {
			return nil
		}
		if !s.accept(',') {
			return errPresences
		}
	}
}

// skip reads any value.
func (s *scanner) skip() error { return s.skipTo(maxDepth) }

func (s *scanner) skipTo(depth int) error {
	s.space()
	if s.at >= len(s.data) || depth == 0 {
		return errPresences
	}
	switch s.data[s.at] {
	case '{':
		return s.object(func([]byte) error { return s.skipTo(depth - 1) })
	case '[':
		return s.array(func() error { return s.skipTo(depth - 1) })
	case '"':
		_, err := s.text()
		return err
	}
	start := s.at
	for s.at < len(s.data) && wordByte(s.data[s.at]) {
		s.at++
	}
	if s.at == start {
		return errPresences
	}
	return nil
}

func wordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b == 'E' || b == '-' || b == '+' || b == '.'
}

// finish returns err, or an error if input is left.
func (s *scanner) finish(err error) error {
	if err != nil {
		return err
	}
	if s.space(); s.at != len(s.data) {
		return errPresences
	}
	return nil
}
