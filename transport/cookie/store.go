package cookie

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/rollcall-go/rollcall/channel/token"
)

// Errors of Read, besides http.ErrNoCookie and token.ErrInvalid. Test with
// errors.Is.
var (
	// ErrCSRF: the client's CSRF token is missing, or is not the session's.
	ErrCSRF = errors.New("cookie: no matching CSRF token")
)

// Config is what a [Store] is made of. Name and Keys are required.
type Config struct {
	// Name is the cookie's: the option key of Plug.Session.
	Name string
	// Keys say how it is signed or encrypted.
	Keys token.CookieConfig
	// Decode reads the content of a cookie where the application has another
	// serializer than Plug's own. It is called concurrently, with content that is
	// genuine. Nil: Erlang's external term format, of a map whose keys are
	// strings.
	Decode func(content []byte) (map[string]any, error)
	// CSRFKey is where the session has its CSRF token: csrf_token_key. Default
	// "_csrf_token".
	CSRFKey string
	// NoCSRFCheck gives a session also to clients without its CSRF token:
	// check_csrf: false. Then CheckOrigin alone keeps the pages of others from
	// connecting in the name of their visitors.
	NoCSRFCheck bool
	// Logger is told, at debug level, why a client with a cookie has no session.
	// Nil: nothing is logged.
	Logger *slog.Logger
}

// csrfParam is the parameter that carries a client's CSRF token.
const csrfParam = "_csrf_token"

// A Store reads sessions. All its methods may be called concurrently.
type Store struct {
	// static after New
	config  Config
	cookies *token.Cookies
}

// New derives the keys. The error names every fault of the config, and none of
// its secrets.
func New(cfg Config) (*Store, error) {
	var faults []error
	if cfg.Name == "" {
		faults = append(faults, errors.New("cookie: Config.Name is empty"))
	}
	cookies, err := token.NewCookies(cfg.Keys)
	if err != nil {
		faults = append(faults, fmt.Errorf("cookie: Config.Keys: %w", err))
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
	cfg.Keys.Secrets = nil // not needed any more
	return &Store{config: cfg, cookies: cookies}, nil
}

// Session is the Session option of a transport: the session of a request, a
// map[string]any; nil where there is none, for whatever reason. It never fails.
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

// Read is the session of a request. The error says why there is none:
// http.ErrNoCookie, token.ErrInvalid, [ErrCSRF], or what Config.Decode returned.
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

// decodeTerm reads what Plug's own serializer makes of a session, whose keys are
// strings always.
func decodeTerm(content []byte) (map[string]any, error) {
	term, err := token.DecodeTerm(content)
	if err != nil {
		return nil, err
	}
	fields, ok := term.(map[any]any)
	if !ok {
		return nil, fmt.Errorf("%w: a %T, not a map", token.ErrInvalid, term)
	}
	session := make(map[string]any, len(fields))
	for key, value := range fields {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("%w: a key of type %T", token.ErrInvalid, key)
		}
		session[name] = value
	}
	return session, nil
}
