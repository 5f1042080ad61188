// Phxclient is github.com/nshafer/phx, a client library in Go, on standard input
// and output, for the tests of package e2e: the library has data races of its own,
// so that it is kept out of programs that are built with the race detector.
//
//	phxclient SOCKET TOPIC KEY
//
// joins and then pushes what each line says, an event and its payload:
//
//	update_meta {"meta": {}}
//
// It prints "joined" for each join, a rejoin too, "reply STATUS RESPONSE" for each
// answer, and "EVENT PAYLOAD" for each event that the tests look for, in no
// promised order: the library calls back from a goroutine each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nshafer/phx"
)

func main() {
	log.SetFlags(0)
	endpoint, err := url.Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	socket := phx.NewSocket(endpoint)
	socket.ReconnectAfterFunc = func(int) time.Duration { return 50 * time.Millisecond }
	if err := socket.Connect(); err != nil {
		log.Fatal(err)
	}
	channel := socket.Channel(os.Args[2], map[string]string{"key": os.Args[3]})
	for _, event := range []string{"presence_state", "presence_diff", "say"} {
		channel.On(event, func(payload any) { say(event, payload) })
	}
	channel.OnJoin(func(any) { fmt.Println("joined") })
	if _, err := channel.Join(); err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		event, text, _ := strings.Cut(lines.Text(), " ")
		push, err := channel.Push(event, json.RawMessage(text))
		if err != nil {
			log.Fatal(err)
		}
		for _, status := range []string{"ok", "error", "timeout"} {
			push.Receive(status, func(response any) { say("reply "+status, response) })
		}
	}
}

// say prints a line, at once and as a whole.
func say(what string, payload any) {
	text, err := json.Marshal(payload)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %s\n", what, text)
}
