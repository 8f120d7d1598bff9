package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

const (
	maxBatch     = 1 << 20
	maxNote      = 1 << 14
	maxRecords   = 1000
	maxReadBytes = 2 << 20 // the largest record is smaller: an answer holds at least one
	event        = "Appended"
)

// Keys of the state. An append writes keys with its own transaction id only, and reads none that others write.
const (
	headKey   = "head"
	policyKey = "policy"
)

func recordKey(tx string) string                { return "t/" + tx }
func anchorKey(number uint64) string            { return fmt.Sprintf("a/%016x", number) }
func digestPrefix(digest []byte) string         { return "h/" + hex.EncodeToString(digest) + "/" }
func digestKey(digest []byte, tx string) string { return digestPrefix(digest) + tx }

// chaincode keeps no state of its own: all of it is the peer's.
type chaincode struct{}

// call is one function: how many arguments it takes, and what it does with them.
type call struct {
	arguments int
	run       func(shim.ChaincodeStubInterface, [][]byte) ([]byte, error)
}

func calls(name string) (call, bool) {
	switch name {
	case "Append":
		return call{1, appendBatch}, true
	case "Anchor":
		return call{6, anchorBatch}, true
	case "Configure":
		return call{1, configure}, true
	case "Status":
		return call{0, status}, true
	case "Read":
		return call{2, read}, true
	case "Find":
		return call{1, find}, true
	case "Get":
		return call{1, get}, true
	}
	return call{}, false
}

// Init sets the policy when it is given one.
func (chaincode) Init(stub shim.ChaincodeStubInterface) *peer.Response {
	arguments := stub.GetArgs()
	if len(arguments) <= 1 {
		return shim.Success(nil)
	}
	return answer(stub, call{1, configure}, "Init", arguments[1:])
}

// Invoke runs one function. It never panics on what a client sends.
func (chaincode) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	arguments := stub.GetArgs()
	if len(arguments) == 0 {
		return shim.Error(refuse("BAD_CALL", "name a function").Error())
	}
	name := string(arguments[0])
	found, ok := calls(name)
	if !ok {
		return shim.Error(refuse("BAD_CALL", "no function %.40q", name).Error())
	}
	return answer(stub, found, name, arguments[1:])
}

func answer(stub shim.ChaincodeStubInterface, one call, name string, arguments [][]byte) *peer.Response {
	if len(arguments) != one.arguments {
		return shim.Error(refuse("BAD_CALL", "%s takes %d arguments, not %d", name, one.arguments, len(arguments)).Error())
	}
	payload, err := one.run(stub, arguments)
	if err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(payload)
}

// refuse makes an error whose text starts with a code that programs read.
func refuse(code, format string, values ...any) error {
	return fmt.Errorf("%s: %s", code, fmt.Sprintf(format, values...))
}

// stateError says that the peer did not read or write.
func stateError(err error) error { return refuse("STATE", "%v", err) }

// -- writing -----------------------------------------------------------------------------------------------------

func appendBatch(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	one := record{Kind: kindAppend, Batch: arguments[0]}
	if len(one.Batch) == 0 {
		return nil, refuse("EMPTY", "an append holds a batch")
	}
	if err := one.admit(stub); err != nil {
		return nil, err
	}
	stub.StartWriteBatch()
	return one.store(stub)
}

func anchorBatch(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	one := record{Kind: kindAnchor, Batch: arguments[4], Note: arguments[5]}
	expected, err := number("expected", arguments[0])
	if err != nil {
		return nil, err
	}
	if one.Start, err = number("start", arguments[1]); err != nil {
		return nil, err
	}
	if one.Size, err = number("size", arguments[2]); err != nil {
		return nil, err
	}
	if one.Root, err = digest("root", arguments[3]); err != nil {
		return nil, err
	}
	if len(one.Note) == 0 {
		return nil, refuse("EMPTY", "an anchor holds a note")
	}
	if err := one.admit(stub); err != nil {
		return nil, err
	}
	end, err := readHead(stub)
	if err != nil {
		return nil, err
	}
	if end.Size != expected {
		return nil, refuse("SIZE_MISMATCH", "have %d, expected %d", end.Size, expected)
	}
	one.Number, one.Head = end.Anchors, end.after(&one)
	stub.StartWriteBatch()
	if err := stub.PutState(anchorKey(one.Number), []byte(stub.GetTxID())); err != nil {
		return nil, stateError(err)
	}
	if err := stub.PutState(headKey, head{one.Number + 1, one.Size, one.Root, one.Head}.bytes()); err != nil {
		return nil, stateError(err)
	}
	return one.store(stub)
}

// admit checks the sizes and the submitter, and notes who it is.
func (r *record) admit(stub shim.ChaincodeStubInterface) error {
	if len(r.Batch) > maxBatch {
		return refuse("TOO_LARGE", "a batch of %d bytes, and %d are taken", len(r.Batch), maxBatch)
	}
	if len(r.Note) > maxNote {
		return refuse("TOO_LARGE", "a note of %d bytes, and %d are taken", len(r.Note), maxNote)
	}
	who, err := submitterOf(stub)
	if err != nil {
		return err
	}
	rules, err := readPolicy(stub)
	if err != nil {
		return err
	}
	if rules == nil {
		return refuse("NOT_ALLOWED", "no policy is set: call Configure first")
	}
	if !who.meets(rules.Append) {
		return refuse("NOT_ALLOWED", "%s may not append: no rule of the policy admits this certificate", who.msp)
	}
	r.MSP, r.Certificate = who.msp, who.certificate
	return nil
}

// store writes the record, and where its digest is found, and makes it the transaction's event.
func (r *record) store(stub shim.ChaincodeStubInterface) ([]byte, error) {
	raw, tx := r.bytes(), stub.GetTxID()
	if err := stub.PutState(recordKey(tx), raw); err != nil {
		return nil, stateError(err)
	}
	if len(r.Batch) > 0 {
		sum := sha256.Sum256(r.Batch)
		if err := stub.PutState(digestKey(sum[:], tx), []byte{r.Kind}); err != nil {
			return nil, stateError(err)
		}
	}
	if err := stub.SetEvent(event, raw); err != nil {
		return nil, stateError(err)
	}
	if err := stub.FinishWriteBatch(); err != nil {
		return nil, stateError(err)
	}
	return raw[:receiptBytes], nil
}

// -- reading -----------------------------------------------------------------------------------------------------

type standing struct {
	Format   int     `json:"format"`
	Anchors  uint64  `json:"anchors"`
	Size     uint64  `json:"size"`
	Root     string  `json:"root"`
	Head     string  `json:"head"`
	MaxBatch int     `json:"max_batch"`
	MaxNote  int     `json:"max_note"`
	Policy   *policy `json:"policy"`
}

func status(stub shim.ChaincodeStubInterface, _ [][]byte) ([]byte, error) {
	end, err := readHead(stub)
	if err != nil {
		return nil, err
	}
	rules, err := readPolicy(stub)
	if err != nil {
		return nil, err
	}
	return json.Marshal(standing{
		format, end.Anchors, end.Size, hex.EncodeToString(end.Root[:]), hex.EncodeToString(end.Head[:]), maxBatch, maxNote, rules,
	})
}

func read(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	first, err := number("first", arguments[0])
	if err != nil {
		return nil, err
	}
	last, err := number("last", arguments[1])
	if err != nil {
		return nil, err
	}
	if first > last {
		return nil, refuse("BAD_ARGUMENT", "first is above last")
	}
	var found bytes.Buffer
	err = each(stub, anchorKey(first), anchorKey(min(last, first+min(last-first, maxRecords))), func(_ string, tx []byte) (bool, error) {
		raw, err := stub.GetState(recordKey(string(tx)))
		if err != nil {
			return false, stateError(err)
		}
		if found.Len()+len(raw) > maxReadBytes {
			return false, nil
		}
		frame(&found, string(tx), raw)
		return true, nil
	})
	return found.Bytes(), err
}

func find(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	sum, err := digest("digest", arguments[0])
	if err != nil {
		return nil, err
	}
	ids, prefix := []string{}, digestPrefix(sum[:])
	// "~" is above every hex character, so the range holds the keys with this prefix and no others.
	err = each(stub, prefix, prefix+"~", func(key string, _ []byte) (bool, error) {
		ids = append(ids, key[len(prefix):])
		return len(ids) < maxRecords, nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(ids)
}

func get(stub shim.ChaincodeStubInterface, arguments [][]byte) ([]byte, error) {
	tx := string(arguments[0])
	if raw, err := hex.DecodeString(tx); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != tx {
		return nil, refuse("BAD_ARGUMENT", "a transaction id is 64 lowercase hex characters")
	}
	raw, err := stub.GetState(recordKey(tx))
	if err != nil {
		return nil, stateError(err)
	}
	if len(raw) == 0 {
		return nil, refuse("NOT_FOUND", "transaction %s holds no batch", tx)
	}
	var found bytes.Buffer
	frame(&found, tx, raw)
	return found.Bytes(), nil
}

// each hands over the keys from `first` to before `last`, in order, while `take` says so.
func each(stub shim.ChaincodeStubInterface, first, last string, take func(string, []byte) (bool, error)) error {
	if first == last {
		return nil
	}
	found, err := stub.GetStateByRange(first, last)
	if err != nil {
		return stateError(err)
	}
	defer found.Close()
	for found.HasNext() {
		one, err := found.Next()
		if err != nil {
			return stateError(err)
		}
		if more, err := take(one.Key, one.Value); err != nil || !more {
			return err
		}
	}
	return nil
}

// -- arguments ---------------------------------------------------------------------------------------------------

func number(name string, text []byte) (uint64, error) {
	found, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || strconv.FormatUint(found, 10) != string(text) {
		return 0, refuse("BAD_ARGUMENT", "%s is a decimal number below 2^64, without sign and leading zeros", name)
	}
	return found, nil
}

func digest(name string, raw []byte) (found [sha256.Size]byte, err error) {
	if len(raw) != len(found) {
		return found, refuse("BAD_ARGUMENT", "%s is %d bytes, not %d", name, len(found), len(raw))
	}
	copy(found[:], raw)
	return found, nil
}
