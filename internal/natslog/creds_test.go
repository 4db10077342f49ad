package natslog_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// An identity is a key with its public part.
type identity struct {
	nkeys.KeyPair
	public string
}

func newIdentity(t *testing.T, kind nkeys.PrefixByte) identity {
	t.Helper()
	pair, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return identity{pair, public}
}

// vouch returns a token in which an identity says what another may do.
func (i identity) vouch(t *testing.T, of identity, claims map[string]any) string {
	t.Helper()
	claims["version"] = 2
	body, err := json.Marshal(map[string]any{"iss": i.public, "sub": of.public, "name": "test", "iat": 1, "nats": claims})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(body)
	signature, err := i.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// TestCredentialsAreAFile has a server that trusts an operator, who trusts an account,
// which trusts a user.
func TestCredentialsAreAFile(t *testing.T) {
	operator, account, system := newIdentity(t, nkeys.PrefixByteOperator), newIdentity(t, nkeys.PrefixByteAccount), newIdentity(t, nkeys.PrefixByteAccount)
	user := newIdentity(t, nkeys.PrefixByteUser)
	all := map[string]any{"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
		"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
	s := start(t, fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %s, %s: %s }\n",
		operator.vouch(t, operator, map[string]any{"type": "operator"}), system.public,
		account.public, operator.vouch(t, account, map[string]any{"type": "account", "limits": all}),
		system.public, operator.vouch(t, system, map[string]any{"type": "account"})))
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weir.creds")
	text := fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
		account.vouch(t, user, map[string]any{"type": "user", "subs": -1, "data": -1, "payload": -1}), seed)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := s.connectErr("x"); err == nil {
		e.Close()
		t.Error("Connect without credentials succeeds")
	}
	nodetest.Add(t, s.at(t, s.url+"?creds="+file).open("x", sharedlog.Options{}), nodetest.Message("a", "1"))
}
