package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// world is the state of a channel between transactions.
type world struct {
	t     *testing.T
	state map[string][]byte
	count byte
}

func newWorld(t *testing.T) *world { return &world{t: t, state: map[string][]byte{}} }

// transaction is the stub of one call. It keeps writes apart, as a peer does, and counts what is read.
type transaction struct {
	shim.ChaincodeStubInterface // the methods that the chaincode does not call are nil: calling one fails the test
	world                       *world
	tx                          string
	creator                     []byte
	arguments                   [][]byte
	reads                       map[string]bool
	writes                      map[string][]byte
	events                      map[string][]byte
	broken                      bool
}

func (w *world) begin(who []byte, arguments ...[]byte) *transaction {
	w.count++
	sum := sha256.Sum256([]byte{w.count})
	return &transaction{
		world: w, tx: hex.EncodeToString(sum[:]), creator: who, arguments: arguments,
		reads: map[string]bool{}, writes: map[string][]byte{}, events: map[string][]byte{},
	}
}

func (x *transaction) commit() {
	for key, value := range x.writes {
		x.world.state[key] = value
	}
}

func (x *transaction) GetArgs() [][]byte           { return x.arguments }
func (x *transaction) GetTxID() string             { return x.tx }
func (x *transaction) GetChannelID() string        { return "ledger" }
func (x *transaction) GetCreator() ([]byte, error) { return x.creator, nil }
func (x *transaction) StartWriteBatch()            {}
func (x *transaction) FinishWriteBatch() error     { return nil }

func (x *transaction) GetState(key string) ([]byte, error) {
	if x.broken {
		return nil, errors.New("no disk")
	}
	x.reads[key] = true
	return x.world.state[key], nil
}

func (x *transaction) PutState(key string, value []byte) error {
	if len(value) == 0 {
		x.world.t.Errorf("key %q is given no value, which deletes it on some state databases", key)
	}
	x.writes[key] = value
	return nil
}

func (x *transaction) SetEvent(name string, payload []byte) error {
	if _, there := x.events[name]; there {
		x.world.t.Errorf("a second event %s", name)
	}
	x.events[name] = payload
	return nil
}

func (x *transaction) GetStateByRange(first, last string) (shim.StateQueryIteratorInterface, error) {
	if x.broken {
		return nil, errors.New("no disk")
	}
	found := &pairs{}
	for key, value := range x.world.state {
		if first <= key && key < last {
			found.left = append(found.left, &queryresult.KV{Key: key, Value: value})
		}
	}
	sort.Slice(found.left, func(i, j int) bool { return found.left[i].Key < found.left[j].Key })
	return found, nil
}

type pairs struct{ left []*queryresult.KV }

func (p *pairs) HasNext() bool { return len(p.left) > 0 }
func (p *pairs) Close() error  { return nil }
func (p *pairs) Next() (*queryresult.KV, error) {
	one := p.left[0]
	p.left = p.left[1:]
	return one, nil
}

// invoke runs one call and commits it when it is accepted.
func (w *world) invoke(who []byte, name string, arguments ...[]byte) (*transaction, *peer.Response) {
	x := w.begin(who, append([][]byte{[]byte(name)}, arguments...)...)
	answer := chaincode{}.Invoke(x)
	if answer.Status == shim.OK {
		x.commit()
	}
	return x, answer
}

func (w *world) must(who []byte, name string, arguments ...[]byte) (*transaction, []byte) {
	w.t.Helper()
	x, answer := w.invoke(who, name, arguments...)
	if answer.Status != shim.OK {
		w.t.Fatalf("%s: %s", name, answer.Message)
	}
	return x, answer.Payload
}

func (w *world) refused(code string, who []byte, name string, arguments ...[]byte) {
	w.t.Helper()
	x, answer := w.invoke(who, name, arguments...)
	if answer.Status != shim.ERROR || !strings.HasPrefix(answer.Message, code+": ") {
		w.t.Errorf("%s answers %d %q, not %s", name, answer.Status, answer.Message, code)
	}
	if len(x.writes)+len(x.events) > 0 && code != "STATE" {
		w.t.Errorf("%s was refused and wrote %d keys", name, len(x.writes))
	}
}

// identity makes a creator as a peer hands it over, its certificate carrying attributes as Fabric CA writes them.
func identity(t *testing.T, mspID string, attributes map[string]string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"attrs": attributes})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: mspID}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	if attributes != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}, Value: text}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	if err := pem.Encode(&block, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	creator, err := proto.Marshal(&msp.SerializedIdentity{Mspid: mspID, IdBytes: block.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return creator
}
