package config

import "testing"

func TestURLOfTheLogIsShownWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"redis://u:secret@h:6379/1":                "redis://u:xxxxx@h:6379/1",
		"nats://u:secret@a:4222,b:4222?replicas=3": "nats://u:xxxxx@a:4222,b:4222?replicas=3",
		"nats://secret@a,b:4222":                   "nats://xxxxx@a,b:4222",
		"tls://h?creds=/etc/weir.creds":            "tls://h?creds=/etc/weir.creds",
		"nats+tls://secret@h":                      "nats+tls://xxxxx@h",
	} {
		if err := checkLog(text); err != nil {
			t.Errorf("checkLog(%q) = %v", text, err)
		}
		if got := withoutPassword(text); got != want {
			t.Errorf("withoutPassword(%q) = %q, want %q", text, got, want)
		}
	}
}
