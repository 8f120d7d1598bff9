package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
)

// membership knows the one organisation: which certificates are its members'.
type membership struct {
	name  string
	roots *x509.CertPool
}

func loadMembership(name, path string) (*membership, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return &membership{name, roots}, nil
}

var (
	errUnknown = errors.New("creator org unknown, creator is malformed")
	errExpired = errors.New("proposal client identity expired")
)

// verify says whether a member signed `message`. The certificate is checked against the organisation and the clock.
// errExpired is told from whatever else is wrong with an identity, which is errUnknown; other errors are of the signature.
func (m *membership) verify(creator, message, signature []byte) error {
	key, err := m.member(creator)
	if errors.Is(err, errExpired) {
		return err
	}
	if err != nil {
		return errUnknown
	}
	return verifyLow(key, message, signature)
}

func (m *membership) member(creator []byte) (*ecdsa.PublicKey, error) {
	var identity msp.SerializedIdentity
	if err := proto.Unmarshal(creator, &identity); err != nil {
		return nil, err
	}
	if identity.GetMspid() != m.name {
		return nil, errUnknown
	}
	block, _ := pem.Decode(identity.GetIdBytes())
	if block == nil {
		return nil, errUnknown
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if time.Now().After(certificate.NotAfter) {
		return nil, errExpired
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: m.roots, KeyUsages: usages}); err != nil {
		return nil, err
	}
	key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errUnknown
	}
	return key, nil
}

type pair struct{ R, S *big.Int }

// verifyLow takes ECDSA over SHA-256 with the lower of the two values of S, as the real peer does.
func verifyLow(key *ecdsa.PublicKey, message, signature []byte) error {
	var numbers pair
	if rest, err := asn1.Unmarshal(signature, &numbers); err != nil || len(rest) > 0 {
		return errors.New("the signature is no pair of numbers")
	}
	if numbers.S.Cmp(new(big.Int).Rsh(key.Params().N, 1)) > 0 {
		return errors.New("the signature has the higher of the two values of S")
	}
	sum := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(key, sum[:], signature) {
		return errors.New("the signature is invalid")
	}
	return nil
}

// signer is this peer as an endorser.
type signer struct {
	identity []byte
	key      *ecdsa.PrivateKey
}

func loadSigner(mspName, certPath, keyPath string) (*signer, error) {
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", keyPath)
	}
	found, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := found.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ECDSA key", keyPath)
	}
	identity, err := proto.Marshal(&msp.SerializedIdentity{Mspid: mspName, IdBytes: cert})
	return &signer{identity, key}, err
}

func (s *signer) sign(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return nil, err
	}
	order := s.key.Params().N
	if v.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		v = new(big.Int).Sub(order, v)
	}
	return asn1.Marshal(pair{r, v})
}

// transactionID is what a client must have derived from its nonce and itself.
func transactionID(nonce, creator []byte) string {
	sum := sha256.Sum256(append(append([]byte{}, nonce...), creator...))
	return hex.EncodeToString(sum[:])
}
