package longpoll

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The statuses in the body of an answer; that of HTTP is 200 beside them (B095).
const (
	statusMessages   = 200 // and to a POST: accepted
	statusNothing    = 204
	statusRefused    = 403
	statusTimeout    = 408
	statusGone       = 410
	statusTryLater   = 500 // clients come back after it
	contentTypeJSON  = "application/json; charset=utf-8"
	cacheOfReference = "max-age=0, private, must-revalidate" // where it sets nothing else
)

// writeTimeout is how long a client may take to read an answer.
const writeTimeout = 10 * time.Second

// pollAnswer is the body of an answer to a GET.
type pollAnswer struct {
	Messages []string `json:"messages"`
	Status   int      `json:"status"`
	Token    string   `json:"token"`
}

// answerPoll reports whether the answer could be written, as far as can be known.
func answerPoll(w http.ResponseWriter, status int, token string, messages []string) error {
	if messages == nil {
		messages = []string{}
	}
	return answerJSON(w, http.StatusOK, pollAnswer{Messages: messages, Status: status, Token: token})
}

func answerStatus(w http.ResponseWriter, status int) {
	_ = answerJSON(w, http.StatusOK, struct {
		Status int `json:"status"`
	}{status})
}

// answerTryLater has the status of HTTP for a proxy in front of us, and in the
// body another for clients, which know no such status and treat 500 as a lost
// connection.
func answerTryLater(w http.ResponseWriter, status int) {
	_ = answerJSON(w, status, struct {
		Status int `json:"status"`
	}{statusTryLater})
}

func answerJSON(w http.ResponseWriter, status int, body any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentTypeJSON)
	w.Header().Set("Cache-Control", "no-store")
	return write(w, status, bytes.TrimSuffix(text.Bytes(), []byte{'\n'}))
}

// answerEmpty has no body.
func answerEmpty(w http.ResponseWriter, status int) {
	w.Header().Set("Cache-Control", cacheOfReference)
	_ = write(w, status, nil)
}

// answerBadBase64 is what the reference answers when it crashes over a line that
// is no base64 (B095); as there, a page of another origin may not read it.
func answerBadBase64(w http.ResponseWriter) {
	w.Header().Del("Access-Control-Allow-Origin")
	w.Header().Set("Content-Type", contentTypeJSON)
	w.Header().Set("Cache-Control", cacheOfReference)
	_ = write(w, http.StatusInternalServerError, []byte(`{"errors":{"detail":"Internal Server Error"}}`))
}

// answerPreflight answers a browser that asks what a page of another origin may
// send (B097).
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	if wanted := r.Header["Access-Control-Request-Headers"]; len(wanted) > 0 {
		w.Header().Set("Access-Control-Allow-Headers", strings.Join(wanted, ", "))
	}
	w.Header().Set("Access-Control-Allow-Methods", "get, post, options")
	w.Header().Set("Access-Control-Max-Age", "3600")
	answerEmpty(w, http.StatusOK)
}

// write sends an answer at once: a server's WriteTimeout, which counts from the
// request, is over when a poll has waited. The deadline is taken back because
// other requests may follow on the connection. Where there is no connection
// (in tests, behind some middleware), none of it is possible, or needed.
func write(w http.ResponseWriter, status int, body []byte) error {
	controller := http.NewResponseController(w)
	_ = controller.SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := controller.Flush(); err != nil && !isUnsupported(err) {
		return err
	}
	_ = controller.SetWriteDeadline(time.Time{})
	return nil
}
