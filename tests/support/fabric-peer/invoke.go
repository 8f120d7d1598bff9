package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// invoke submits one transaction with the official client and waits for its block.
func invoke(arguments []string) error {
	set := flag.NewFlagSet("invoke", flag.ContinueOnError)
	port := set.Int("port", 0, "port of the gateway")
	msp := set.String("msp", "Org1MSP", "MSP id of the user")
	channel := set.String("channel", "ledger", "name of the channel")
	name := set.String("name", "metaledger", "name of the chaincode")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	if set.NArg() < 3 {
		return errors.New("usage: fabric-peer invoke -port PORT DIR USER FUNCTION [ARGUMENT…]")
	}
	gateway, end, err := connect(set.Arg(0), set.Arg(1), *msp, *port)
	if err != nil {
		return err
	}
	defer end()
	_, err = gateway.GetNetwork(*channel).GetContract(*name).SubmitTransaction(set.Arg(2), set.Args()[3:]...)
	return err
}

// connect opens the official client as a user of DIR. The second result ends it.
func connect(dir, user, msp string, port int) (*client.Gateway, func(), error) {
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(dir, "tls-ca.pem"))
	if err != nil {
		return nil, nil, err
	}
	roots.AppendCertsFromPEM(authority)
	id, sign, err := loaded(filepath.Join(dir, "users", user), msp)
	if err != nil {
		return nil, nil, err
	}
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")))
	if err != nil {
		return nil, nil, err
	}
	found, err := client.Connect(id, client.WithSign(sign), client.WithHash(hash.SHA256), client.WithClientConnection(connection),
		client.WithSubmitTimeout(2*time.Second), client.WithCommitStatusTimeout(5*time.Second))
	if err != nil {
		return nil, nil, errors.Join(err, connection.Close())
	}
	return found, func() { _ = found.Close(); _ = connection.Close() }, nil // the peer may be gone
}

func loaded(dir, msp string) (*identity.X509Identity, identity.Sign, error) {
	var texts [2][]byte
	for place, name := range []string{"cert.pem", "key.pem"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		texts[place] = raw
	}
	certificate, err := identity.CertificateFromPEM(texts[0])
	if err != nil {
		return nil, nil, err
	}
	key, err := identity.PrivateKeyFromPEM(texts[1])
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity(msp, certificate)
	return id, sign, err
}
