package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// parsePair makes a certificate of the texts of two files, and explains why it cannot.
func parsePair(certText, keyText []byte) (*tls.Certificate, error) {
	certs, keys := blocksOf(certText), blocksOf(keyText)
	if len(certs.certs)+len(keys.keys) == 0 && len(certs.keys) > 0 && len(keys.certs) > 0 {
		return nil, errors.New("they are swapped: the certificate file holds a private key, the key file a certificate")
	}
	chain, err := certs.chain()
	if err != nil {
		return nil, fmt.Errorf("the certificate file: %w", err)
	}
	key, err := keys.key()
	if err != nil {
		return nil, fmt.Errorf("the key file: %w", err)
	}
	if err := checkOwner(chain, key); err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c, nil
}

// The PEM blocks of one file.
type blocks struct {
	text        []byte
	certs, keys []*pem.Block
	count       int // of all kinds
}

func blocksOf(text []byte) blocks {
	b := blocks{text: text}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return b
		}
		b.count++
		switch {
		case block.Type == "CERTIFICATE":
			b.certs = append(b.certs, block)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			b.keys = append(b.keys, block)
		}
		text = rest
	}
}

// lacks explains why there is no block that was looked for.
func (b blocks) lacks(what string) error {
	switch {
	case len(b.text) == 0:
		return errors.New("it is empty")
	case b.damaged():
		return errors.New("a PEM block in it is damaged or not complete")
	case b.text[0] == 0x30: // how everything in DER form begins
		return fmt.Errorf("there is no PEM block in it; it seems to hold %s in DER form, which openssl can convert", what)
	case len(b.certs) > 0:
		return fmt.Errorf("it holds a certificate, not %s", what)
	case len(b.keys) > 0:
		return fmt.Errorf("it holds a private key, not %s", what)
	}
	return fmt.Errorf("there is no PEM block with %s in it", what)
}

// damaged: pem.Decode passes over what it cannot read. A chain that lost a certificate
// this way, because somebody still writes the file, would be served without a word.
func (b blocks) damaged() bool { return bytes.Count(b.text, []byte("-----BEGIN ")) != b.count }

func (b blocks) chain() ([]*x509.Certificate, error) {
	if len(b.certs) == 0 || b.damaged() {
		return nil, b.lacks("a certificate")
	}
	var chain []*x509.Certificate
	for i, block := range b.certs {
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of %d: %w", i+1, len(b.certs), err)
		}
		chain = append(chain, x)
	}
	return chain, nil
}

func (b blocks) key() (crypto.Signer, error) {
	if len(b.keys) == 0 || b.damaged() {
		return nil, b.lacks("a private key")
	}
	block := b.keys[0]
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the key is encrypted, and there is nobody to ask for its passphrase: store it without")
	}
	return parseKey(block.Bytes)
}

// parseKey takes the three forms in use. PEM types do not tell them apart reliably.
func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the private key cannot be read: it is no PKCS #8, PKCS #1 or SEC 1 key")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("TLS cannot use a key of type %T: RSA, ECDSA or Ed25519", key)
}

// checkOwner checks that the key is that of the first certificate.
func checkOwner(chain []*x509.Certificate, key crypto.Signer) error {
	public := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	owned := func(x *x509.Certificate) bool { return public.Equal(x.PublicKey) }
	switch at := slices.IndexFunc(chain, owned); {
	case at == 0:
		return nil
	case at > 0:
		return fmt.Errorf("the key belongs to certificate %d of %d: the certificate of the server must come first", at+1, len(chain))
	}
	return errors.New("the key does not belong to the certificate")
}
