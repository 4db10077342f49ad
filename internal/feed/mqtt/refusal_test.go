package mqtt_test

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/packets"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/mqtt"
)

// strict is a server that lets in weir with a password, and lets it subscribe to numbers.
func strict(t *testing.T) *server {
	t.Helper()
	plugins, err := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if err != nil || len(plugins) == 0 {
		t.Fatalf("mosquitto has no plug-in for dynamic security: %v", err)
	}
	salt := []byte("twelve bytes")
	hash, err := pbkdf2.Key(sha512.New, "hush", salt, 101, 64)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"defaultACLAccess": map[string]bool{"publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
		"clients": []any{map[string]any{
			"username": "weir", "salt": base64.StdEncoding.EncodeToString(salt), "iterations": 101,
			"password": base64.StdEncoding.EncodeToString(hash), "roles": []any{map[string]string{"rolename": "reader"}},
		}},
		"roles": []any{map[string]any{"rolename": "reader", "acls": []any{map[string]any{"acltype": "subscribePattern", "topic": "numbers/#", "allow": true}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "security.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return newServer(t, "per_listener_settings false", "plugin "+plugins[0], "plugin_opt_config_file "+file)
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	s := strict(t)
	r := s.feed(feedtest.New(t), func(f *feed.Spec) { f.From = "mqtt://weir:wrong-hush@" + s.addr() })
	awaitError(t, r, "not authorized")
	if text := r.Stats().Error; strings.Contains(text, "hush") || !strings.Contains(text, "mqtt://weir:xxxxx@") {
		t.Errorf("error is %q", text)
	}
}

func TestRefusedFilterIsNamed(t *testing.T) {
	s := strict(t)
	r := s.feed(feedtest.New(t), func(f *feed.Spec) {
		f.From, f.Subscribe = "mqtt://weir:hush@"+s.addr(), []string{"numbers/#", "secrets/#"}
	})
	awaitError(t, r, `subscribe to "secrets/#": not authorized`)
}

func TestPasswordFileIsReadAtEachConnection(t *testing.T) {
	s, bed := strict(t), feedtest.New(t)
	file := filepath.Join(t.TempDir(), "password")
	r := s.feed(bed, func(f *feed.Spec) { f.From, f.PasswordFile = "mqtt://weir@"+s.addr(), file })
	awaitError(t, r, "password-file")
	if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.AwaitState(feed.Running)
	s.client("sender", "weir", "hush").send(nameless(1, 0, 1)...)
	bed.AwaitData("in", []string{"0"})
}

func TestTLS(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	secure := func(f *feed.Spec) { f.From = fmt.Sprint("mqtts://127.0.0.1:", s.tls) }
	r := s.feed(bed, secure)
	awaitError(t, r, "unknown authority")
	r.Stop()
	r = s.feed(bed, func(f *feed.Spec) {
		secure(f)
		f.CAFile = s.file("cert.pem")
	})
	r.AwaitState(feed.Running)
	s.client("sender").send(numbered(0, 500)...)
	bed.AwaitData("in", feedtest.Numbers(0, 500))
}

func TestTwoServersOfOneNameAreTold(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	a := s.feed(bed, nil)
	a.AwaitState(feed.Running)
	s.feed(bed, nil)
	awaitError(t, a, `another client may have the name "weir-test": give each server a consumer of its own`)
}

// TestReasonOfADisconnectIsTold has a server that says more than mosquitto 2.0.11.
func TestReasonOfADisconnectIsTold(t *testing.T) {
	for _, c := range []struct {
		code      byte
		own, want string
	}{
		{packets.DisconnectSessionTakenOver, "", `session taken over: another client has the name "weir-test"; give each server a consumer of its own`},
		{packets.DisconnectAdministrativeAction, "closed by admin", `the server has ended the connection: administrative action ("closed by admin")`},
		{0xfe, "", "reason code 0xfe"},
	} {
		addr := listen(t, func(conn net.Conn) {
			if _, err := packets.ReadPacket(conn); err != nil {
				t.Error(err)
			}
			_, _ = (&packets.Connack{Properties: &packets.Properties{}}).WriteTo(conn)
			_, _ = (&packets.Disconnect{ReasonCode: c.code, Properties: &packets.Properties{ReasonString: c.own}}).WriteTo(conn)
			_, _ = io.Copy(io.Discard, conn)
		})
		awaitError(t, (&server{t: t}).feed(feedtest.New(t), func(f *feed.Spec) { f.From = "mqtt://" + addr }), c.want)
	}
}

func TestServerWithoutTheQoSIsTold(t *testing.T) {
	s := newServer(t, "max_qos 1")
	awaitError(t, s.feed(feedtest.New(t), func(f *feed.Spec) { f.QoS = "2" }), "no QoS higher than 1; set qos: 1")
}

func TestAServerOfAnotherKindIsTold(t *testing.T) {
	addr := listen(t, func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	r := (&server{t: t}).feed(feedtest.New(t), func(f *feed.Spec) { f.From = "mqtt://" + addr })
	awaitError(t, r, "it may not speak MQTT 5")
}

// listen serves one connection after the other, and returns its address.
func listen(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func TestSpecsThatMakeNoSource(t *testing.T) {
	for _, from := range []string{"mqtt://", "mqtt://u:hush@h/a", "mqtt://u:hush@h?a=b", "mqtt://u:hu%zzsh@h"} {
		_, err := mqtt.New(feed.Spec{Name: "n", From: from, Subscribe: []string{"a"}})
		if err == nil || strings.Contains(err.Error(), "sh@") {
			t.Errorf("New of %q: %v", from, err)
		}
	}
}
