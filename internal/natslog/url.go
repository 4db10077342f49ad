package natslog

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// A place is what a URL says.
type place struct {
	servers  []string      // URLs, with what identifies the user
	options  []nats.Option // TLS and credentials
	replicas int           // 0: it does not say
	maxBytes int64         // of the stream; 0: it does not say
}

// parameters are those that a URL may have.
var parameters = map[string]bool{"replicas": true, "max_bytes": true, "creds": true, "ca": true, "skip_verify": true}

// parseURL reads a URL as [Connect] describes. Errors do not show its password.
func parseURL(text string) (p place, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return p, fmt.Errorf("natslog: URL cannot be read") // the error has all of it
	}
	query, scheme := u.Query(), "nats"
	switch u.Scheme {
	case "nats":
	case "tls", "nats+tls":
		scheme = "tls"
		p.options = append(p.options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: query.Get("skip_verify") == "true"}))
		if file := query.Get("ca"); file != "" {
			p.options = append(p.options, nats.RootCAs(file))
		}
	default:
		return p, fmt.Errorf("natslog: URL has scheme %q, want nats, tls or nats+tls", u.Scheme)
	}
	if u.Path != "" && u.Path != "/" {
		return p, fmt.Errorf("natslog: URL %q has path %q, want none", u.Redacted(), u.Path)
	}
	if file := query.Get("creds"); file != "" {
		p.options = append(p.options, nats.UserCredentials(file))
	}
	for _, host := range strings.Split(u.Host, ",") { // net/url leaves lists alone
		address, err := withPort(host)
		if err != nil {
			return p, err
		}
		p.servers = append(p.servers, (&url.URL{Scheme: scheme, User: u.User, Host: address}).String())
	}
	return p, p.limits(query)
}

// limits reads the parameters that are numbers.
func (p *place) limits(query url.Values) (err error) {
	for name := range query {
		if !parameters[name] {
			return fmt.Errorf("natslog: URL has the parameter %q, want replicas, max_bytes, creds, ca or skip_verify", name)
		}
	}
	if text := query.Get("replicas"); text != "" {
		if p.replicas, err = strconv.Atoi(text); err != nil || p.replicas < 1 || p.replicas > 5 {
			return fmt.Errorf("natslog: URL has replicas=%q, want 1 to 5", text)
		}
	}
	if text := query.Get("max_bytes"); text != "" {
		if p.maxBytes, err = strconv.ParseInt(text, 10, 64); err != nil || p.maxBytes < minBytes {
			return fmt.Errorf("natslog: URL has max_bytes=%q, want a number of bytes, at least %d", text, minBytes)
		}
	}
	return nil
}

// withPort adds the port to a host that has none.
func withPort(host string) (string, error) {
	u := url.URL{Host: host}
	if u.Hostname() == "" {
		return "", fmt.Errorf("natslog: URL has host %q, want a name or an address", host)
	}
	port := u.Port()
	if port == "" {
		port = "4222"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
