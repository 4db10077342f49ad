package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/weirstream/weir/internal/topic"
)

func anything(string) error { return nil }

// minSecret is the least length of a secret, in bytes.
const minSecret = 32

// checkSecret accepts "". It does not quote the text.
func checkSecret(text string) error {
	if text != "" && len(text) < minSecret {
		return fmt.Errorf("the secret has %d bytes, want %d or more: make one with openssl rand -base64 32", len(text), minSecret)
	}
	return nil
}

// logSchemes are those of URLs of what can keep a shared log.
var logSchemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "nats", "tls", "nats+tls"}

// checkLog accepts "", and URLs of Redis and NATS. It does not quote what may hold a
// password.
func checkLog(text string) error {
	u, err := url.Parse(text)
	if text == "" || err == nil && u.Host != "" && slices.Contains(logSchemes, u.Scheme) {
		return nil
	}
	return errors.New("is not the URL of a shared log: write it like redis://host:6379, redis+sentinel://host:26379/NAME or nats://host:4222, with rediss or tls for TLS")
}

// token finds who uses NATS, if that is one word, which is secret.
var token = regexp.MustCompile(`^((?:nats|tls|nats\+tls)://)[^/?#:@]+@`)

// withoutPassword returns a URL of a shared log without what is secret in it.
func withoutPassword(text string) string {
	text = token.ReplaceAllString(text, "${1}xxxxx@")
	u, err := url.Parse(text)
	if err != nil {
		return "(set)"
	}
	return u.Redacted()
}

var logName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func checkLogName(text string) error {
	if !logName.MatchString(text) {
		return fmt.Errorf("%q is not a name: want 1 to 64 letters, digits and -._", text)
	}
	return nil
}

// checkURL accepts "", and http or https URLs.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL: write it like https://example.com/path", text)
	}
	if u.User != nil {
		return fmt.Errorf("a URL with a user name would put a password into logs") // so it is not quoted
	}
	return nil
}

var cookieName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]*$")

func checkCookie(text string) error {
	if !cookieName.MatchString(text) {
		return fmt.Errorf("%q is not the name of a cookie", text)
	}
	return nil
}

var domainName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]+$`)

func checkDomain(text string) error {
	if _, err := netip.ParseAddr(text); err == nil || !domainName.MatchString(text) {
		return fmt.Errorf("%q is not a domain: write it like live.example.com, without * or port", text)
	}
	return nil
}

// certificate reads {cert: FILE, key: FILE}.
func (f *file) certificate(key string, n ast.Node) (c Certificate, errs []error) {
	errs = f.fields(key, n, map[string]func(string) error{
		"cert": func(text string) error { c.Cert = text; return nil },
		"key":  func(text string) error { c.Key = text; return nil },
	})
	if len(errs) == 0 && (c.Cert == "" || c.Key == "") {
		errs = []error{f.fault(n, key, "needs both files: {cert: FILE, key: FILE}")}
	}
	return c, errs
}

// apiKey reads {name: NAME, sha256: HEX, publish: PATTERNS, subscribe: PATTERNS}.
func (f *file) apiKey(key string, n ast.Node) (k APIKey, errs []error) {
	errs = f.fields(key, n, map[string]func(string) error{
		"name":      func(text string) error { k.Name = text; return nil },
		"sha256":    func(text string) error { k.Hash = text; return checkHash(text) },
		"publish":   patterns(&k.Publish),
		"subscribe": patterns(&k.Subscribe),
	}, "publish", "subscribe")
	if len(errs) == 0 && (k.Name == "" || k.Hash == "") {
		errs = []error{f.fault(n, key, "needs a name and the SHA-256 of the key: {name: NAME, sha256: HEX, publish: PATTERNS}")}
	}
	return k, errs
}

// checkHash does not quote the text, which may be the key itself.
func checkHash(text string) error {
	if b, err := hex.DecodeString(text); err != nil || len(b) != 32 {
		return fmt.Errorf("is not the SHA-256 of a key: want 64 hexadecimal digits, as printed by weir token key")
	}
	return nil
}

func patterns(p *[]string) func(string) error {
	return func(text string) error {
		*p = splitList(text)
		for _, pattern := range *p {
			if err := topic.CheckPattern(pattern); err != nil {
				return err
			}
		}
		return nil
	}
}

// checkAccess finds what does not go together.
func (t *table) checkAccess() (errs []error) {
	s := t.settings
	a, l := &s.Access, &s.TLS
	conflict := func(names []string, format string, args ...any) { errs = append(errs, t.blame(names, format, args...)) }
	if a.On() && s.Open {
		conflict([]string{"open", "access.secret", "access.secret-file", "access.public-key-file", "access.jwks-url", "access.api-keys-file", "access.forward-url"},
			"open lets anybody do anything, so access control would not count: leave one of them out, or name what anybody may do with access.anonymous-subscribe")
	}
	if !a.On() && len(a.Publish)+len(a.Subscribe) > 0 {
		conflict([]string{"access.anonymous-publish", "access.anonymous-subscribe"},
			"anybody may do anything while no key says who is who: set access.secret-file, access.api-keys-file, or another source of keys")
	}
	if a.Forward.URL != "" && len(a.Publish)+len(a.Subscribe) > 0 {
		conflict([]string{"access.forward-url", "access.anonymous-publish", "access.anonymous-subscribe"},
			"the application of access.forward-url is asked about everybody, so it decides what anybody may do: leave out access.anonymous-publish and access.anonymous-subscribe")
	}
	if a.Secret != "" && a.SecretFile != "" {
		conflict([]string{"access.secret", "access.secret-file"}, "access.secret and access.secret-file are both set: want one")
	}
	if (l.CertFile == "") != (l.KeyFile == "") {
		conflict([]string{"tls.cert-file", "tls.key-file"}, "tls.cert-file and tls.key-file belong together, and one is not set")
	}
	if len(l.ACME.Domains) > 0 && l.ACME.Cache == "" && s.Data == "" {
		conflict([]string{"tls.acme-domains", "tls.acme-cache"}, "certificates need a place where they outlive a restart: set tls.acme-cache or data")
	}
	if s.Nodes.Log != "" && s.Data != "" {
		conflict([]string{"data", "nodes.log"}, "the log is either in data, for this server alone, or where nodes.log says: leave one of them out")
	}
	if s.Proxy.Protocol && len(s.Proxy.Trusted) == 0 {
		conflict([]string{"proxy.protocol", "proxy.trusted"}, "proxy.protocol says something about the proxies of proxy.trusted, and there are none")
	}
	return errs
}

// checkListeners finds listeners that would be open to all, or that lack what they need.
func (t *table) checkListeners() (errs []error) {
	s := t.settings
	encrypted := false
	for _, l := range s.Listen {
		encrypted = encrypted || l.TLS
		if !s.Open && !s.Access.On() && !l.Loopback() {
			errs = append(errs, t.blame([]string{"listen"},
				"%s can be reached from other machines and anybody could do anything: say who may, as with --access.secret-file FILE, allow it to all with --open, or listen on 127.0.0.1", l))
		}
		if l.TLS && !s.TLS.On() {
			errs = append(errs, t.blame([]string{"listen"},
				"%s needs a certificate: set tls.cert-file and tls.key-file, or tls.acme-domains", l))
		}
	}
	if s.TLS.On() && !encrypted {
		errs = append(errs, t.blame([]string{"tls.cert-file", "tls.acme-domains", "listen"},
			"there is a certificate but no listener with TLS: listen on tls:host:port"))
	}
	return errs
}

// settleLimits fills in limits that depend on who can reach the server.
func (t *table) settleLimits() {
	s := t.settings
	l := &s.Limits
	public := len(s.Proxy.Trusted) > 0
	for _, ln := range s.Listen {
		public = public || !ln.Loopback()
	}
	settle(&l.StreamsPerIP, 1000, public)
	settle(&l.PublishPerIP, 100, public)
	settle(&l.ReplayPerClient, 4*mebi, public)
}

// settle replaces 0 by a default, and -1 by 0, which is no limit from here on.
func settle[T int | int64](p *T, value T, public bool) {
	switch {
	case *p < 0:
		*p = 0
	case *p == 0 && public:
		*p = value
	}
}
