package cookie

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/rollcall-go/rollcall/plug"
)

// ErrCSRF: the client's CSRF token is missing, or is not that of the session.
var ErrCSRF = errors.New("cookie: no matching CSRF token")

// Config configures a [Store]. Name and Cookies are required.
type Config struct {
	// Name is the name of the cookie: the option key of Plug.Session.
	Name string
	// Cookies says how the cookie is signed or encrypted.
	Cookies plug.CookieConfig
	// Decode decodes the content of a genuine cookie, for applications with another
	// serializer than Plug's. It is called concurrently. Nil: Erlang's external term
	// format, of a map whose keys are strings.
	Decode func(content []byte) (map[string]any, error)
	// CSRFKey is the key of the CSRF token in the session: csrf_token_key. Default
	// "_csrf_token".
	CSRFKey string
	// NoCSRFCheck accepts clients without the session's CSRF token: check_csrf:
	// false. Then only CheckOrigin prevents other sites' pages from connecting as
	// their visitors.
	NoCSRFCheck bool
	// Logger logs, at debug level, why a client with a cookie has no session. Nil:
	// nothing is logged.
	Logger *slog.Logger
}

// csrfParam is the connect parameter with the client's CSRF token.
const csrfParam = "_csrf_token"

// Store reads the sessions of requests. Its methods may be called concurrently.
type Store struct {
	// static after New
	config  Config
	cookies *plug.Cookies
}

// New derives the keys. The error names every fault of the config, and no secret.
func New(cfg Config) (*Store, error) {
	var faults []error
	if cfg.Name == "" {
		faults = append(faults, errors.New("cookie: Config.Name is empty"))
	}
	cookies, err := plug.NewCookies(cfg.Cookies)
	if err != nil {
		faults = append(faults, fmt.Errorf("cookie: Config.Cookies: %w", err))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if cfg.Decode == nil {
		cfg.Decode = decodeTerm
	}
	if cfg.CSRFKey == "" {
		cfg.CSRFKey = "_csrf_token"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Cookies.Keys.Secrets = nil // not needed any more
	return &Store{config: cfg, cookies: cookies}, nil
}

// Session is the Session option of a transport. It returns the session of a request, a
// map[string]any, or nil if there is none for any reason. It never fails.
func (s *Store) Session(r *http.Request) (any, error) {
	session, err := s.Read(r)
	switch {
	case err == nil:
		return session, nil
	case !errors.Is(err, http.ErrNoCookie):
		s.config.Logger.Debug("cookie: no session", "cookie", s.config.Name, "remote", r.RemoteAddr, "error", err)
	}
	return nil, nil
}

// Read returns the session of a request. The error says why there is none:
// http.ErrNoCookie, plug.ErrInvalid, [ErrCSRF], or that of Config.Decode.
func (s *Store) Read(r *http.Request) (map[string]any, error) {
	cookie, err := r.Cookie(s.config.Name)
	if err != nil {
		return nil, fmt.Errorf("cookie: %w", err)
	}
	content, err := s.cookies.Open(cookie.Value)
	if err != nil {
		return nil, fmt.Errorf("cookie: %w", err)
	}
	session, err := s.config.Decode(content)
	if err != nil {
		return nil, fmt.Errorf("cookie: decode a session: %w", err)
	}
	if s.config.NoCSRFCheck {
		return session, nil
	}
	state, _ := session[s.config.CSRFKey].(string)
	values := r.URL.Query()[csrfParam]
	if len(values) == 0 || !csrfMatches(state, values[len(values)-1]) {
		return nil, ErrCSRF
	}
	return session, nil
}

// decodeTerm decodes a session of Plug's serializer, whose keys are always strings.
func decodeTerm(content []byte) (map[string]any, error) {
	term, err := plug.DecodeTerm(content)
	if err != nil {
		return nil, err
	}
	fields, ok := term.(map[any]any)
	if !ok {
		return nil, fmt.Errorf("%w: a %T, not a map", plug.ErrInvalid, term)
	}
	session := make(map[string]any, len(fields))
	for key, value := range fields {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("%w: a key of type %T", plug.ErrInvalid, key)
		}
		session[name] = value
	}
	return session, nil
}
