// Command metaledger-chaincode serves the log chaincode to a peer (chaincode as a service). README.md is its manual.
package main

import (
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

func main() {
	if err := serve(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "metaledger-chaincode:", err)
		os.Exit(1)
	}
}

func serve(env func(string) string) error {
	tls, err := tlsProperties(env)
	if err != nil {
		return err
	}
	for _, name := range []string{"CHAINCODE_ID", "CHAINCODE_SERVER_ADDRESS"} {
		if env(name) == "" {
			return fmt.Errorf("set %s", name)
		}
	}
	server := shim.ChaincodeServer{
		CCID:     env("CHAINCODE_ID"),
		Address:  env("CHAINCODE_SERVER_ADDRESS"),
		CC:       chaincode{},
		TLSProps: tls,
	}
	return server.Start()
}

// tlsProperties reads the PEM files that are named; TLS is off when none is.
func tlsProperties(env func(string) string) (shim.TLSProperties, error) {
	var found shim.TLSProperties
	key, cert, ca := env("CHAINCODE_TLS_KEY"), env("CHAINCODE_TLS_CERT"), env("CHAINCODE_CLIENT_CA")
	if key == "" && cert == "" && ca == "" {
		found.Disabled = true
		return found, nil
	}
	if key == "" || cert == "" {
		return found, fmt.Errorf("TLS needs CHAINCODE_TLS_KEY and CHAINCODE_TLS_CERT")
	}
	for _, one := range []struct {
		path string
		into *[]byte
	}{{key, &found.Key}, {cert, &found.Cert}, {ca, &found.ClientCACerts}} {
		if one.path == "" {
			continue
		}
		pem, err := os.ReadFile(one.path)
		if err != nil {
			return found, err
		}
		*one.into = pem
	}
	return found, nil
}
