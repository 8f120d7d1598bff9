package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

const (
	maxRules  = 64
	maxPolicy = 1 << 16
	maxName   = 256
)

// rule admits the certificates of one MSP, or of these the ones that carry an attribute with a value.
type rule struct {
	MSP       string `json:"msp"`
	Attribute string `json:"attribute,omitempty"`
	Value     string `json:"value,omitempty"`
}

// policy says who may append, and who may change the policy. One rule that is met is enough.
type policy struct {
	Append []rule `json:"append"`
	Admin  []rule `json:"admin"`
}

// submitter is who signed the proposal; the peer has checked the signature and the certificate's chain.
type submitter struct {
	msp         string
	certificate hash
	identity    *cid.ClientID
}

func submitterOf(stub shim.ChaincodeStubInterface) (submitter, error) {
	identity, err := cid.New(stub)
	if err != nil {
		return submitter{}, refuse("NOT_ALLOWED", "the submitter has no identity that can be read: %v", err)
	}
	msp, err := identity.GetMSPID()
	if err != nil || msp == "" || len(msp) > maxName {
		return submitter{}, refuse("NOT_ALLOWED", "the submitter names no MSP of at most %d bytes", maxName)
	}
	certificate, err := identity.GetX509Certificate()
	if err != nil || certificate == nil {
		return submitter{}, refuse("NOT_ALLOWED", "the submitter shows no X.509 certificate")
	}
	return submitter{msp, sha256.Sum256(certificate.Raw), identity}, nil
}

func (s submitter) meets(rules []rule) bool {
	for _, one := range rules {
		if one.MSP != s.msp {
			continue
		}
		if one.Attribute == "" {
			return true
		}
		if value, there, err := s.identity.GetAttributeValue(one.Attribute); err == nil && there && value == one.Value {
			return true
		}
	}
	return false
}

func configure(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	wanted, err := parsePolicy(arguments[0])
	if err != nil {
		return nil, err
	}
	who, err := submitterOf(stub)
	if err != nil {
		return nil, err
	}
	present, err := readPolicy(stub)
	if err != nil {
		return nil, err
	}
	if present != nil && !who.meets(present.Admin) {
		return nil, refuse("NOT_ALLOWED", "%s may not change the policy: no admin rule admits this certificate", who.msp)
	}
	raw, err := json.Marshal(wanted)
	if err != nil {
		return nil, stateError(err)
	}
	if err := stub.PutState(policyKey, raw); err != nil {
		return nil, stateError(err)
	}
	return raw, nil
}

func readPolicy(stub shim.ChaincodeStubInterface) (*policy, error) {
	raw, err := stub.GetState(policyKey)
	if err != nil {
		return nil, stateError(err)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	var found policy
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, refuse("STATE", "the policy cannot be read: %v", err)
	}
	return &found, nil
}

func parsePolicy(raw []byte) (*policy, error) {
	if len(raw) > maxPolicy {
		return nil, refuse("TOO_LARGE", "a policy of %d bytes, and %d are taken", len(raw), maxPolicy)
	}
	var found policy
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&found); err != nil {
		return nil, refuse("BAD_ARGUMENT", "not a policy: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, refuse("BAD_ARGUMENT", "something follows the policy")
	}
	for _, rules := range [][]rule{found.Append, found.Admin} {
		if len(rules) == 0 || len(rules) > maxRules {
			return nil, refuse("BAD_ARGUMENT", "a policy has 1 to %d rules for append and for admin", maxRules)
		}
		for _, one := range rules {
			if one.MSP == "" || len(one.MSP) > maxName || len(one.Attribute) > maxName || len(one.Value) > maxName {
				return nil, refuse("BAD_ARGUMENT", "a rule names an MSP, and nothing longer than %d bytes", maxName)
			}
			if one.Attribute == "" && one.Value != "" {
				return nil, refuse("BAD_ARGUMENT", "a rule with a value names its attribute")
			}
		}
	}
	return &found, nil
}
