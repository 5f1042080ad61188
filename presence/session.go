package presence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Session holds presences: a joined channel, or any lease that a program opens.
// When it ends, its presences end. Only the session itself can change them, or
// another one of the same replica that adopts them.
//
// All methods may be called concurrently. A session's own writes are visible on
// this replica when the method returns.
type Session struct {
	tracker *Tracker // static

	// guarded by mu, which is taken before the tracker's
	mu     sync.Mutex
	held   []holding // by topic and key; mostly one, so a slice and not a map
	closed bool
}

// holding is one presence of a session.
type holding struct {
	topic, key string
	dot        uint64
}

// find tells where the presence of key in topic is, or would be, and whether it
// is there. mu is held.
func (s *Session) find(topic, key string) (int, bool) {
	return slices.BinarySearchFunc(s.held, holding{topic: topic, key: key}, func(a, b holding) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
}

// NewSession opens a session. Sessions of a closed tracker are closed.
func (t *Tracker) NewSession() *Session {
	s := &Session{tracker: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		s.closed = true
	} else {
		t.sessions[s] = struct{}{}
	}
	return s
}

// Track makes key present in topic with meta: anything that encodes to a JSON
// object, nil for an empty one. It returns the value's ref (phx_ref). One
// session can be present once under a key of a topic; many sessions can under
// the same key. Errors: ErrAlreadyTracked, ErrMetaNotObject, ErrMetaTooLarge,
// ErrTopicInvalid, ErrKeyInvalid, ErrTooManyPresences, ErrTooManyTopics,
// ErrSessionClosed.
func (s *Session) Track(topic, key string, meta any) (ref string, err error) {
	data, err := s.prepare(topic, key, meta)
	if err != nil {
		return "", fmt.Errorf("track %.255q in %.255q: %w", key, topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.place(topic, key)
	if err != nil {
		return "", fmt.Errorf("track %.255q in %.255q: %w", key, topic, err)
	}
	var dot uint64
	s.tracker.do(func(r *replica.Replica, now time.Time) {
		if err = r.Acquire(now, topic, false); err != nil {
			return
		}
		if dot, err = r.Track(now, topic, key, data); err != nil {
			r.Release(now, topic, false)
			return
		}
		ref = r.Ref(dot)
	})
	if err != nil {
		return "", fmt.Errorf("track %.255q in %.255q: %w", key, topic, err)
	}
	s.held = slices.Insert(s.held, at, holding{topic, key, dot})
	return ref, nil
}

// place is where one more presence belongs among those held, if there may be one.
// s.mu is held.
func (s *Session) place(topic, key string) (at int, err error) {
	at, tracked := s.find(topic, key)
	switch {
	case s.closed:
		return 0, ErrSessionClosed
	case tracked:
		return 0, ErrAlreadyTracked
	case len(s.held) >= s.tracker.cfg.MaxSessionPresences:
		return 0, fmt.Errorf("%w: the session has %d, the limit", ErrTooManyPresences, len(s.held))
	}
	return at, nil
}

func (s *Session) prepare(topic, key string, meta any) ([]byte, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return encodeMeta(meta, s.tracker.cfg.MaxMeta)
}

// Change makes a new meta out of the current one; see Replace, Patch and Func.
type Change func(current Meta) (any, error)

// Replace puts meta in the place of the current one, as a whole.
func Replace(meta any) Change { return func(Meta) (any, error) { return meta, nil } }

// Patch sets the members of fields, anything that encodes to a JSON object, in
// the current meta; a hidden one stays hidden. A member that is null in fields is removed (RFC 7396, for
// the outermost object).
func Patch(fields any) Change {
	return func(current Meta) (any, error) {
		data, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMetaNotObject, err)
		}
		var old, set map[string]json.RawMessage
		if err := json.Unmarshal(data, &set); err != nil {
			return nil, fmt.Errorf("%w: patch with %.40s", ErrMetaNotObject, data)
		}
		if err := current.Decode(&old); err != nil {
			return nil, err
		}
		for name, v := range set {
			if bytes.Equal(v, []byte("null")) {
				delete(old, name)
			} else {
				old[name] = v
			}
		}
		if current.Hidden() {
			return Hidden{Meta: old}, nil
		}
		return old, nil
	}
}

// Func computes the new meta from the current one. f runs outside the tracker's
// locks, but must not call the session it is for. When it returns an error or panics,
// nothing has changed.
func Func(f func(current Meta) (any, error)) Change { return f }

// Update changes the meta of one of the session's presences, in one step: the
// key is never seen absent. It returns the new value's ref. Errors: ErrNotTracked,
// those of change, and those of Track.
func (s *Session) Update(topic, key string, change Change) (ref string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, tracked := s.find(topic, key)
	switch {
	case s.closed:
		err = ErrSessionClosed
	case !tracked:
		err = ErrNotTracked
	}
	if err != nil {
		return "", fmt.Errorf("update %.255q in %.255q: %w", key, topic, err)
	}
	dot := s.held[at].dot
	// mu makes reading and replacing one step: no other session changes this entry.
	var current Meta
	s.tracker.do(func(r *replica.Replica, _ time.Time) {
		meta, _ := r.Entry(topic, dot)
		current = Meta(meta)
	})
	meta, err := change(current)
	var data []byte
	if err == nil {
		data, err = encodeMeta(meta, s.tracker.cfg.MaxMeta)
	}
	if err != nil {
		return "", fmt.Errorf("update %.255q in %.255q: %w", key, topic, err)
	}
	s.tracker.do(func(r *replica.Replica, now time.Time) {
		if dot, tracked = r.Update(now, topic, dot, data); tracked {
			ref = r.Ref(dot)
		}
	})
	s.held[at].dot = dot
	return ref, nil
}

// Adopt makes a presence that another session holds one of s, with a new meta: one
// Update for all watchers, with phx_ref_prev. It is for clients that come back before
// their old session has ended. Errors: ErrNotTracked when from holds no such
// presence, or has ended; those of Track. After an error nothing has changed.
func (s *Session) Adopt(from *Session, topic, key string, meta any) (ref string, err error) {
	data, err := s.prepare(topic, key, meta)
	if err != nil {
		return "", fmt.Errorf("adopt %.255q in %.255q: %w", key, topic, err)
	}
	t := s.tracker
	t.adopting.Lock()
	defer t.adopting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.place(topic, key)
	if err == nil && from.tracker != t {
		err = ErrNotTracked
	}
	if err != nil {
		return "", fmt.Errorf("adopt %.255q in %.255q: %w", key, topic, err)
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	old, tracked := from.find(topic, key)
	if !tracked {
		return "", fmt.Errorf("adopt %.255q in %.255q: %w", key, topic, ErrNotTracked)
	}
	dot := from.held[old].dot
	t.do(func(r *replica.Replica, now time.Time) {
		dot, _ = r.Update(now, topic, dot, data)
		ref = r.Ref(dot)
	})
	from.held = slices.Delete(from.held, old, old+1)
	s.held = slices.Insert(s.held, at, holding{topic, key, dot})
	return ref, nil
}

// Held is one presence of a session.
type Held struct{ Topic, Key, Ref string }

// Held lists the presences of the session, sorted by topic and key.
func (s *Session) Held() []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Held, 0, len(s.held))
	s.tracker.do(func(r *replica.Replica, _ time.Time) {
		for _, h := range s.held {
			list = append(list, Held{h.topic, h.key, r.Ref(h.dot)})
		}
	})
	return list
}

// Untrack ends the presence of key in topic. It returns nil also when there is
// none.
func (s *Session) Untrack(topic, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, tracked := s.find(topic, key); tracked {
		dot := s.held[at].dot
		s.held = slices.Delete(s.held, at, at+1)
		s.tracker.do(func(r *replica.Replica, now time.Time) {
			r.Untrack(now, topic, dot)
			r.Release(now, topic, false)
		})
	}
	return nil
}

// UntrackAll ends all presences of the session, which stays open.
func (s *Session) UntrackAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.untrackAll()
}

// untrackAll ends everything in one step, so that each topic has one diff.
func (s *Session) untrackAll() {
	if len(s.held) == 0 {
		return
	}
	s.tracker.do(func(r *replica.Replica, now time.Time) {
		for _, h := range s.held {
			r.Untrack(now, h.topic, h.dot)
			r.Release(now, h.topic, false)
		}
	})
	s.held = nil
}

// Close ends the session and its presences. It may be called more than once.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.untrackAll()
	s.tracker.mu.Lock()
	delete(s.tracker.sessions, s)
	s.tracker.mu.Unlock()
}
