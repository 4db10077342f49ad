package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/certtest"
)

func TestReloadIsForNewHandshakesOnly(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	before, after := a.issue("example.com"), a.issue("example.com", "www.example.com")
	var j journal
	s := open(t, certs.Options{Pairs: []certs.Pair{before.write(t, dir, "a")}, Report: j.report})
	address := serve(t, s.TLSConfig())
	j.wantKinds(t, "after opening", certs.Loaded)
	c, err := dial(t, address, &tls.Config{ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, c, "before")

	after.write(t, dir, "a")
	before.wantServed(t, address, "example.com", "before the reload")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	after.wantServed(t, address, "example.com", "after the reload")
	echo(t, c, "after")
	e := j.wantKinds(t, "after the reload", certs.Loaded)[0]
	if !slices.Equal(e.Names, []string{"example.com", "www.example.com"}) || !e.NotAfter.Equal(after.leaf(t).NotAfter) || e.Pair != 0 {
		t.Errorf("reported %v", e)
	}
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	j.wantKinds(t, "after a reload of the same files")
}

func echo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(b); err != nil || string(b) != text {
		t.Fatalf("got %q, %v, want %q back", b, err, text)
	}
}

func TestHalfWrittenPairIsNeverServed(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	before, after, other := a.issue("example.com"), a.issue("example.com"), a.issue("other.example")
	var j journal
	pair := before.write(t, dir, "a")
	s := open(t, certs.Options{Pairs: []certs.Pair{pair, other.write(t, dir, "other")}, Report: j.report})
	address := serve(t, s.TLSConfig())
	j.wantKinds(t, "after opening", certs.Loaded, certs.Loaded)

	other = a.issue("other.example")
	other.write(t, dir, "other")
	write(t, pair.Cert, after.Cert)
	wantError(t, s.Reload(), "the key does not belong to the certificate", pair)
	before.wantServed(t, address, "example.com", "half written")
	other.wantServed(t, address, "other.example", "beside a pair that is half written")
	wantError(t, s.Reload(), "the key does not belong to the certificate", pair)
	e := j.wantKinds(t, "half written", certs.Failed, certs.Loaded)[0]
	wantError(t, e.Err, "the key does not belong", pair)

	write(t, pair.Key, after.Key[:99])
	wantError(t, s.Reload(), "not complete", pair)
	before.wantServed(t, address, "example.com", "with half a key")
	write(t, pair.Key, after.Key)
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	after.wantServed(t, address, "example.com", "written")
	j.wantKinds(t, "with half a key, then written", certs.Failed, certs.Loaded)
}

func TestRestoredFilesEndTheFailure(t *testing.T) {
	before := newAuthority().issue("example.com")
	var j journal
	pair := before.write(t, t.TempDir(), "a")
	s := open(t, certs.Options{Pairs: []certs.Pair{pair}, Report: j.report})
	write(t, pair.Key, nil)
	wantError(t, s.Reload(), "it is empty", pair)
	write(t, pair.Key, before.Key)
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	j.wantKinds(t, "at the end", certs.Loaded, certs.Failed, certs.Loaded)
}

// watched runs the test in virtual time, with a store that watches the pair; every 0 is
// the default.
func watched(t *testing.T, pair certs.Pair, every time.Duration, test func(t *testing.T, s *certs.Store, j *journal)) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := open(t, certs.Options{Pairs: []certs.Pair{pair}, Every: every, Report: j.report})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Watch(ctx) }()
		test(t, s, &j)
		cancel()
		<-done
	})
}

// start is when virtual time begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// wait lets virtual time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// offered returns the certificate of a handshake in memory.
func offered(t *testing.T, s *certs.Store) *x509.Certificate {
	t.Helper()
	a, b := net.Pipe()
	server := tls.Server(a, s.TLSConfig())
	done := make(chan struct{})
	go func() { defer close(done); server.Handshake() }()
	client := tls.Client(b, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	<-done
	return client.ConnectionState().PeerCertificates[0]
}

func TestWatchSeesChangedFiles(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	before := a.sign(certtest.Template(start.Add(60*day), "example.com"), newRSAKey(t))
	after := a.sign(certtest.Template(start.Add(61*day), "example.com"), newRSAKey(t))
	pair := before.write(t, dir, "a")
	watched(t, pair, 0, func(t *testing.T, s *certs.Store, j *journal) {
		wait(time.Minute)
		j.wantKinds(t, "while nothing changes", certs.Loaded)
		write(t, pair.Cert, after.Cert)
		wait(9 * time.Second)
		j.wantKinds(t, "before the next look")
		wait(time.Minute)
		j.wantKinds(t, "half written", certs.Failed)
		write(t, pair.Key, after.Key)
		wait(10 * time.Second)
		j.wantKinds(t, "written", certs.Loaded)
		if !offered(t, s).Equal(after.leaf(t)) {
			t.Error("the certificate of before is served")
		}
		if err := os.Remove(pair.Cert); err != nil {
			t.Fatal(err)
		}
		wait(49 * time.Hour)
		j.wantKinds(t, "two days after the file went", certs.Failed, certs.Failed, certs.Failed)
		if !offered(t, s).Equal(after.leaf(t)) {
			t.Error("a certificate without a file is not served any more")
		}
	})
}

// TestWatchSeesSwappedLinks: this is how Kubernetes replaces the files of a secret.
func TestWatchSeesSwappedLinks(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	versions := []material{
		a.sign(certtest.Template(start.Add(60*day), "example.com"), newRSAKey(t)),
		a.sign(certtest.Template(start.Add(60*day), "example.com"), newRSAKey(t)),
	}
	modified := time.Now()
	for i, m := range versions {
		version := filepath.Join(dir, string(rune('0'+i)))
		if err := os.Mkdir(version, 0o700); err != nil {
			t.Fatal(err)
		}
		p := m.write(t, version, "tls")
		for _, name := range []string{p.Cert, p.Key} {
			if err := os.Chtimes(name, modified, modified); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	link(t, "0", data)
	pair := certs.Pair{Cert: filepath.Join(data, "tls.crt"), Key: filepath.Join(data, "tls.key")}
	watched(t, pair, 0, func(t *testing.T, s *certs.Store, j *journal) {
		j.wantKinds(t, "at first", certs.Loaded)
		link(t, "1", data)
		wait(10 * time.Second)
		j.wantKinds(t, "after the swap", certs.Loaded)
		if !offered(t, s).Equal(versions[1].leaf(t)) {
			t.Error("the certificate of before is served")
		}
	})
}

// link makes name a link to target in one step.
func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestExpiryIsReportedOnceADay(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	end := start.Add(16 * day)
	long := a.sign(certtest.Template(end, "example.com"), newRSAKey(t))
	next := a.sign(certtest.Template(start.Add(90*day), "example.com"), newRSAKey(t))
	pair := long.write(t, dir, "a")
	watched(t, pair, time.Hour, func(t *testing.T, s *certs.Store, j *journal) {
		wait(47 * time.Hour)
		j.wantKinds(t, "with more than 14 days left", certs.Loaded)
		wait(day)
		e := j.wantKinds(t, "with less", certs.Expiring)[0]
		if !e.NotAfter.Equal(end) || e.Names[0] != "example.com" || e.Err != nil {
			t.Errorf("reported %v", e)
		}
		wait(day)
		j.wantKinds(t, "on the next day", certs.Expiring)
		wait(14 * day)
		expiring := slices.Repeat([]certs.Kind{certs.Expiring}, 14)
		j.wantKinds(t, "until it has expired and on", expiring...)
		next.write(t, dir, "a")
		wait(10 * day)
		j.wantKinds(t, "with a new one", certs.Loaded)
	})
}

// TestShortLivedCertificateIsNotAlwaysExpiring: one for six days is reported in
// the last quarter.
func TestShortLivedCertificateIsNotAlwaysExpiring(t *testing.T) {
	six := certtest.Template(start.Add(6*day), "example.com")
	six.NotBefore = start
	pair := newAuthority().sign(six, newRSAKey(t)).write(t, t.TempDir(), "a")
	watched(t, pair, time.Hour, func(t *testing.T, s *certs.Store, j *journal) {
		wait(4 * day)
		j.wantKinds(t, "after four days", certs.Loaded)
		wait(14 * time.Hour)
		j.wantKinds(t, "in the last quarter", certs.Expiring)
	})
}
