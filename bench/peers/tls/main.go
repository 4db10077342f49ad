// Command tls is weir's package hub behind TLS, with a certificate made on the spot:
// GET and POST /?topic={topic}.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/weirstream/weir/hub"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	flag.Parse()
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	read := h.Handler()
	s := &http.Server{
		Addr:      *listen,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				read.ServeHTTP(w, r)
				return
			}
			data, err := io.ReadAll(r.Body)
			if err == nil {
				_, err = h.Publish(r.Context(), hub.Message{Topics: r.URL.Query()["topic"], Data: data})
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	log.Fatal(s.ListenAndServeTLS("", ""))
}

// certificate makes one that signs itself.
func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
