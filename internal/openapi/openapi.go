// Package openapi holds the description of the server's HTTP interface for
// programs: openapi.yaml, in the format OpenAPI 3.1. [Serve] sends it.
//
// Tests hold it true: those of this package compare its problem codes with the
// source, and those of test/clients ask a server everything that is in it.
package openapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"time"
)

// Document is openapi.yaml. It is not to be changed.
//
//go:embed openapi.yaml
var Document []byte

// tag names the document for clients that have it already.
var tag = func() string {
	sum := sha256.Sum256(Document)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}()

// Serve answers GET and HEAD with the document.
func Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/yaml") // RFC 9512
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	http.ServeContent(w, r, "openapi.yaml", time.Time{}, bytes.NewReader(Document))
}
