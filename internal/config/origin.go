package config

import (
	"fmt"
	"path/filepath"
)

// Kind is where a value can come from; a later one overrides an earlier one.
type Kind int

const (
	FromDefault Kind = iota
	FromFile
	FromVariable
	FromFlag
)

// An Origin is the place where a value was given.
type Origin struct {
	Kind Kind
	Name string // flag with its dashes, variable, or path of the file; "" for a default
	Line int    // in the file, from 1; 0 if the whole file is meant
}

// String returns the place as its user knows it: "--open", "WEIR_OPEN",
// "weir.yaml:3" or "default".
func (o Origin) String() string {
	switch {
	case o.Kind == FromDefault:
		return "default"
	case o.Kind == FromFile && o.Line > 0:
		return fmt.Sprintf("%s:%d", filepath.ToSlash(o.Name), o.Line)
	case o.Kind == FromFile:
		return filepath.ToSlash(o.Name)
	}
	return o.Name
}

// An Error is one thing that is wrong with the settings.
type Error struct {
	Origin   Origin // where it was given
	Setting  string // "hub.max-message", or "" if it belongs to none
	Err      error  // what is wrong
	Conflict bool   // each value is fine by itself, but not together with the others
}

// Error names the setting as the user gave it, then what is wrong with it.
func (e *Error) Error() string {
	switch {
	case e.Origin.Kind == FromFile && e.Setting != "":
		return fmt.Sprintf("%v: %s: %v", e.Origin, e.Setting, e.Err)
	case e.Origin.Kind == FromDefault:
		return fmt.Sprintf("%s: %v", e.Setting, e.Err)
	}
	return fmt.Sprintf("%v: %v", e.Origin, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
