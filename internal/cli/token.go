package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/access"
)

// maxTokenLife bounds --expires: a token cannot be taken back.
const maxTokenLife = 10 * 365 * 24 * time.Hour

func tokenCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make and check access tokens and API keys"}
	groupOnly(cmd)
	cmd.AddCommand(tokenMake(s), tokenCheck(s), tokenKey(s))
	return cmd
}

// tokenMaker holds the flags of token make.
type tokenMaker struct {
	secretFile, keyID string
	life              time.Duration
	grant             access.Grant
	stamp             access.Stamp
}

func tokenMake(s Streams) *cobra.Command {
	var m tokenMaker
	cmd := &cobra.Command{
		Use:   "make --secret-file FILE",
		Short: "Print a token signed with a secret",
		Long: `Print a JSON Web Token (HS256), signed with the secret that the server has, too.
Whoever has it may publish and read what it names, until it expires.`,
		Example: `  weir token make --secret-file secret --sub alice --publish 'rooms/7' --subscribe 'rooms/*' --expires 1h`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			text, err := m.make()
			if err == nil {
				_, err = fmt.Fprintln(s.Out, text)
			}
			return err
		},
	}
	m.addFlags(cmd)
	return cmd
}

func (m *tokenMaker) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.secretFile, "secret-file", "", "`FILE` with the secret, at least 32 bytes")
	f.StringVar(&m.keyID, "key-id", "", "`ID` of the secret (kid), if the server has several")
	f.StringVar(&m.grant.User, "sub", "", "`USER` the token is for")
	f.StringVar(&m.grant.ID, "id", "", "`ID` of the token (jti)")
	f.StringArrayVar(&m.grant.Publish, "publish", nil, "topic or `PATTERN` it may publish to; may be repeated")
	f.StringArrayVar(&m.grant.Subscribe, "subscribe", nil, "topic or `PATTERN` it may read; may be repeated")
	f.IntVar(&m.grant.Limits.Streams, "streams", 0, "most streams open at once; 0 leaves it to the server")
	f.IntVar(&m.grant.Limits.Rate, "rate", 0, "most messages published per second; 0 leaves it to the server")
	f.StringVar(&m.grant.Info, "info", "", "`JSON` that others may know of the user, for presence")
	f.DurationVar(&m.life, "expires", time.Hour, "`TIME` for which it holds, such as 15m")
	f.StringVar(&m.stamp.Issuer, "issuer", "", "issuer (iss)")
	f.StringArrayVar(&m.stamp.Audience, "audience", nil, "audience (aud); may be repeated")
}

func (m *tokenMaker) make() (string, error) {
	if m.life < time.Second || m.life > maxTokenLife {
		return "", usage("--expires is %v: want 1s to %v", m.life, maxTokenLife)
	}
	if len(m.grant.Publish)+len(m.grant.Subscribe) == 0 {
		return "", usage("the token would allow nothing: give --publish, --subscribe or both")
	}
	if err := m.grant.Check(); err != nil {
		return "", usage("%v", err)
	}
	key, err := readSecretKey(m.secretFile, m.keyID)
	if err != nil {
		return "", err
	}
	m.grant.Expires = time.Now().Add(m.life)
	return key.Sign(m.grant, m.stamp)
}

func readSecretKey(file, id string) (access.Key, error) {
	if file == "" {
		return access.Key{}, usage("give the file of the secret with --secret-file; to make one: openssl rand -hex 32 > secret")
	}
	secret, err := access.ReadSecret(file)
	if err != nil {
		return access.Key{}, err
	}
	key, err := access.NewSecret(id, secret)
	if err != nil {
		return access.Key{}, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// tokenChecker holds the flags of token check.
type tokenChecker struct {
	secretFile, publicFile string
	opts                   access.Options
}

func tokenCheck(s Streams) *cobra.Command {
	var c tokenChecker
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check TOKEN",
		Short: "Tell whether a token is valid and what it grants",
		Long: `Tell whether a token is valid now and print what it grants. With - as TOKEN it is
read from standard input, so that it does not show up in the list of processes.
The exit code is 1 if the token is not valid.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := c.check(cmd.Context(), s, args[0])
			switch {
			case err != nil:
				return err
			case asJSON:
				return printGrantJSON(s.Out, g)
			}
			return printGrant(s.Out, g)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.secretFile, "secret-file", "", "`FILE` with the secret")
	f.StringVar(&c.publicFile, "public-key-file", "", "PEM `FILE` with public keys or certificates")
	f.StringVar(&c.opts.Issuer, "issuer", "", "issuer (iss) it must have")
	f.StringArrayVar(&c.opts.Audience, "audience", nil, "audience (aud) it must have; if repeated, one of them")
	f.BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// check returns what a token grants. Clocks are not allowed to differ here.
func (c *tokenChecker) check(ctx context.Context, s Streams, token string) (access.Grant, error) {
	if err := c.readKeys(); err != nil {
		return access.Grant{}, err
	}
	c.opts.Leeway = -1
	v, err := access.New(c.opts)
	if err != nil {
		return access.Grant{}, err
	}
	if token == "-" {
		text, err := io.ReadAll(io.LimitReader(s.In, access.MaxToken+2)) // a line end may follow
		if err != nil {
			return access.Grant{}, fmt.Errorf("read the token: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	return v.Token(ctx, token)
}

func (c *tokenChecker) readKeys() error {
	if c.secretFile == "" && c.publicFile == "" {
		return usage("give the key of the token with --secret-file or --public-key-file")
	}
	if c.secretFile != "" {
		key, err := readSecretKey(c.secretFile, "")
		if err != nil {
			return err
		}
		c.opts.Keys = append(c.opts.Keys, key)
	}
	if c.publicFile != "" {
		keys, err := access.ReadPublicKeys(c.publicFile)
		if err != nil {
			return err
		}
		c.opts.Keys = append(c.opts.Keys, keys...)
	}
	return nil
}

func printGrant(w io.Writer, g access.Grant) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name   string
		values []string
	}{
		{"user", []string{g.User}},
		{"id", []string{g.ID}},
		{"expires", []string{fmt.Sprintf("%s, in %v", g.Expires.UTC().Format(time.RFC3339), time.Until(g.Expires).Round(time.Second))}},
		{"publish", g.Publish},
		{"subscribe", g.Subscribe},
		{"streams", []string{limitText(g.Limits.Streams)}},
		{"rate", []string{limitText(g.Limits.Rate)}},
		{"info", []string{g.Info}},
	} {
		name := row.name
		for _, v := range row.values {
			if v != "" {
				fmt.Fprintf(t, "%s\t%s\n", name, v)
				name = ""
			}
		}
	}
	return t.Flush()
}

func limitText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func printGrantJSON(w io.Writer, g access.Grant) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		User      string          `json:"user"`
		ID        string          `json:"id"`
		Expires   time.Time       `json:"expires"`
		Publish   []string        `json:"publish"`
		Subscribe []string        `json:"subscribe"`
		Streams   int             `json:"streams,omitempty"`
		Rate      int             `json:"rate,omitempty"`
		Info      json.RawMessage `json:"info,omitempty"`
	}{g.User, g.ID, g.Expires.UTC(), append([]string{}, g.Publish...), append([]string{}, g.Subscribe...), g.Limits.Streams, g.Limits.Rate, json.RawMessage(g.Info)})
}
