package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, in characters. With four bytes a character both stay below
// the 255 bytes that a presence key and a topic may have.
const (
	maxUserName = 40
	maxRoomName = 60
)

// topicPrefix and the room's name make the topic of a party.
const topicPrefix = "party:"

// userName checks what somebody wants to be called, and trims it. The error is
// worded for that person.
func userName(name string) (string, error) { return checkName("your name", name, maxUserName) }

// roomName checks the name of a room, and trims it.
func roomName(name string) (string, error) {
	return checkName("the name of the room", name, maxRoomName)
}

func checkName(what, name string, most int) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%s is not valid UTF-8", what)
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return "", fmt.Errorf("%s is empty", what)
	}
	if n := utf8.RuneCountInString(name); n > most {
		return "", fmt.Errorf("%s has %d characters, at most %d are allowed", what, n, most)
	}
	if i := strings.IndexFunc(name, unprintable); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return "", fmt.Errorf("%s has the character %U, which cannot be seen", what, r)
	}
	return name, nil
}

// unprintable finds controls, line breaks and marks that change the direction
// of what follows. The joiner that composes emoji is allowed.
func unprintable(r rune) bool {
	const zeroWidthJoiner = '\u200d'
	return !unicode.IsGraphic(r) && r != zeroWidthJoiner
}
