package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates of one organisation for tests: a CA for its members, a CA for TLS, the peer, and users on demand.
//
//	DIR/ca.pem ca.key              signs members
//	DIR/tls-ca.pem                 what a client trusts
//	DIR/peer/tls.pem tls.key sign.pem sign.key
//	DIR/users/NAME/cert.pem key.pem

// attributes is where Fabric CA writes what a member may do.
var attributes = asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func serial() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) }

// issue signs a certificate and writes it with its key.
func (a *authority) issue(template *x509.Certificate, certPath, keyPath string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	}
	parent := &authority{template, key}
	if a != nil {
		parent = a
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return nil, err
	}
	if err := writePEM(certPath, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	if keyPath != "" {
		if err := writePEM(keyPath, "PRIVATE KEY", secret); err != nil {
			return nil, err
		}
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func ca(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func member(name, unit string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{unit}}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// makeMaterial makes the folder, unless it is there.
func makeMaterial(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "ca.pem")); err == nil {
		return nil
	}
	var none *authority
	members, err := none.issue(ca("ca.org1"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	tls, err := none.issue(ca("tlsca.org1"), filepath.Join(dir, "tls-ca.pem"), "")
	if err != nil {
		return err
	}
	own := filepath.Join(dir, "peer")
	if _, err := members.issue(member("peer0.org1", "peer"), filepath.Join(own, "sign.pem"), filepath.Join(own, "sign.key")); err != nil {
		return err
	}
	server := member("peer0.org1", "peer")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	_, err = tls.issue(server, filepath.Join(own, "tls.pem"), filepath.Join(own, "tls.key"))
	return err
}

// makeUser issues a member's certificate. `from` and `until` may lie in the past.
func makeUser(dir, name string, carries map[string]string, from, until time.Time) error {
	cert, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return err
	}
	secret, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	certBlock, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(secret)
	if certBlock == nil || keyBlock == nil {
		return errors.New("the CA's files hold no PEM")
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return err
	}
	ecdsaKey, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("the CA's key is not ECDSA")
	}
	template := member(name, "client")
	template.NotBefore, template.NotAfter = from, until
	if len(carries) > 0 {
		text, err := json.Marshal(map[string]any{"attrs": carries})
		if err != nil {
			return err
		}
		template.ExtraExtensions = []pkix.Extension{{Id: attributes, Value: text}}
	}
	into := filepath.Join(dir, "users", name)
	_, err = (&authority{parsed, ecdsaKey}).issue(template, filepath.Join(into, "cert.pem"), filepath.Join(into, "key.pem"))
	return err
}
