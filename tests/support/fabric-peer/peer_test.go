package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const policy = `{"append":[{"msp":"Org1MSP"}],"admin":[{"msp":"Org1MSP"}]}`

// network is the peer in this process, the real chaincode in another, and the official client.
type network struct {
	t        *testing.T
	settings settings
	control  string
	stop     func()
	served   *exec.Cmd
	client   *client.Network
	contract *client.Contract
}

// program is the chaincode, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaincode")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "chaincode")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../../../blockchain_adapters/hyperledger/chaincode"
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func start(t *testing.T, most int) *network {
	n := &network{t: t, settings: settings{
		dir: t.TempDir(), material: t.TempDir(), msp: "Org1MSP", channel: "ledger", name: "metaledger", most: most, timeout: 100 * time.Millisecond,
	}}
	n.must(makeMaterial(n.settings.material))
	n.must(makeUser(n.settings.material, "writer", nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	n.must(makeUser(n.settings.material, "expired", nil, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	n.must(err)
	n.settings.chaincode = free.Addr().String()
	n.must(free.Close())
	n.served = n.runChaincode()
	n.run()
	n.client = n.connect("writer").GetNetwork("ledger")
	n.contract = n.client.GetContract("metaledger")
	n.must(invoke([]string{"-port", fmt.Sprint(n.settings.port), n.settings.material, "writer", "Configure", policy}))
	return n
}

func (n *network) runChaincode() *exec.Cmd {
	served := exec.Command(program)
	served.Env = append(os.Environ(), "CHAINCODE_ID=metaledger:1", "CHAINCODE_SERVER_ADDRESS="+n.settings.chaincode)
	n.must(served.Start())
	n.t.Cleanup(func() { _ = served.Process.Kill(); _ = served.Wait() }) // a test may have killed it
	for range 200 {
		if probe, err := net.Dial("tcp", n.settings.chaincode); err == nil {
			n.must(probe.Close())
			return served
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatal("the chaincode does not serve")
	return nil
}

func (n *network) run() {
	ctx, cancel := context.WithCancel(context.Background())
	lines, ended := make(chan []byte, 1), make(chan error, 1)
	go func() { ended <- n.settings.serve(ctx, func(line []byte) { lines <- line }) }()
	var told struct{ Port, Control int }
	select {
	case line := <-lines:
		n.must(json.Unmarshal(line, &told))
		if !strings.Contains(string(line), "not Hyperledger Fabric") {
			n.t.Error("the peer does not say what it is")
		}
	case err := <-ended:
		n.t.Fatal(err)
	}
	n.settings.port, n.control = told.Port, fmt.Sprintf("http://127.0.0.1:%d", told.Control)
	stopped := false
	n.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			n.must(<-ended)
		}
	}
	n.t.Cleanup(n.stop)
}

func (n *network) connect(user string) *client.Gateway {
	found, end, err := connect(n.settings.material, user, n.settings.msp, n.settings.port)
	n.must(err)
	n.t.Cleanup(end)
	return found
}

func (n *network) fault(one fault) {
	body, err := json.Marshal(one)
	n.must(err)
	answer, err := http.Post(n.control, "application/json", bytes.NewReader(body))
	n.must(err)
	n.must(answer.Body.Close())
	if answer.StatusCode != http.StatusNoContent {
		n.t.Fatalf("the fault %v is refused", one)
	}
}

func (n *network) endorse(name string, arguments ...string) *client.Transaction {
	n.t.Helper()
	proposal, err := n.contract.NewProposal(name, client.WithArguments(arguments...))
	n.must(err)
	done, err := proposal.Endorse()
	n.must(err)
	return done
}

func anchor(expected, size int) []string {
	return []string{fmt.Sprint(expected), fmt.Sprint(expected), fmt.Sprint(size), strings.Repeat("r", 32), "batch", "note"}
}

func (n *network) code(one *client.Commit) peer.TxValidationCode {
	n.t.Helper()
	found, err := one.Status()
	n.must(err)
	return found.Code
}

func (n *network) verdict(id string) (int32, error) {
	raw, err := n.client.GetContract("qscc").EvaluateTransaction("GetTransactionByID", "ledger", id)
	if err != nil {
		return 0, err
	}
	var found peer.ProcessedTransaction
	n.must(proto.Unmarshal(raw, &found))
	return found.GetValidationCode(), nil
}

func TestAppendsOfOneBlockAreBothValidAndAnchorsConflict(t *testing.T) {
	n := start(t, 2)
	for _, c := range []struct {
		name      string
		arguments []string
		second    peer.TxValidationCode
	}{{"Append", []string{"batch"}, 0}, {"Anchor", anchor(0, 10), peer.TxValidationCode_MVCC_READ_CONFLICT}} {
		one, two := n.endorse(c.name, c.arguments...), n.endorse(c.name, c.arguments...)
		first, err := one.Submit()
		n.must(err)
		second, err := two.Submit()
		n.must(err)
		if a, b := n.code(first), n.code(second); a != 0 || b != c.second {
			t.Errorf("%s: %s and %s", c.name, a, b)
		}
	}
}

func TestBlocksAreChainedAndEventsComeInTheirOrder(t *testing.T) {
	n := start(t, 1)
	var ids []string
	for i := range 3 {
		one := n.endorse("Append", fmt.Sprint("batch ", i))
		commit, err := one.Submit()
		n.must(err)
		if n.code(commit) != 0 {
			t.Fatal("invalid")
		}
		ids = append(ids, one.TransactionID())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	events, err := n.client.ChaincodeEvents(ctx, "metaledger", client.WithStartBlock(0))
	n.must(err)
	whole, err := n.client.BlockEvents(ctx, client.WithStartBlock(0))
	n.must(err)
	filtered, err := n.client.FilteredBlockEvents(ctx, client.WithStartBlock(2))
	n.must(err)
	var before []byte
	for number := range uint64(5) {
		block := <-whole
		sum := sha256.Sum256(bytes.Join(block.GetData().GetData(), nil))
		if block.GetHeader().GetNumber() != number || !bytes.Equal(block.GetHeader().GetPreviousHash(), before) || !bytes.Equal(block.GetHeader().GetDataHash(), sum[:]) {
			t.Fatalf("block %d is not chained", number)
		}
		before, err = headerHash(block.GetHeader())
		n.must(err)
	}
	for i, id := range ids {
		one := <-events
		if one.TransactionID != id || one.BlockNumber != uint64(i+2) || !bytes.Contains(one.Payload, []byte(fmt.Sprint("batch ", i))) {
			t.Errorf("event %d is %+v", i, one)
		}
		if block := <-filtered; block.GetFilteredTransactions()[0].GetTxid() != id {
			t.Errorf("filtered block %v", block)
		}
	}
	after, err := n.client.ChaincodeEvents(ctx, "metaledger", client.WithStartBlock(2), client.WithCheckpoint(checkpoint{2, ids[0]}))
	n.must(err)
	if one := <-after; one.TransactionID != ids[1] {
		t.Errorf("after %s comes %s", ids[0], one.TransactionID)
	}
	raw, err := n.client.GetContract("qscc").EvaluateTransaction("GetChainInfo", "ledger")
	n.must(err)
	var chain common.BlockchainInfo
	n.must(proto.Unmarshal(raw, &chain))
	if chain.GetHeight() != 5 || !bytes.Equal(chain.GetCurrentBlockHash(), before) {
		t.Errorf("the chain is %v", &chain)
	}
}

type checkpoint struct {
	block uint64
	tx    string
}

func (c checkpoint) BlockNumber() uint64   { return c.block }
func (c checkpoint) TransactionID() string { return c.tx }

func TestFaultsOnCommand(t *testing.T) {
	n := start(t, 1)
	n.fault(fault{Kind: "refuse", Phase: "endorse", Message: "NOT_ALLOWED: no"})
	if _, err := n.contract.SubmitTransaction("Append", "b"); !strings.Contains(details(err), "chaincode response 500, NOT_ALLOWED: no") {
		t.Errorf("refused as %v", err)
	}
	n.fault(fault{Kind: "before", Phase: "submit"})
	lost := n.endorse("Append", "lost")
	if _, err := lost.Submit(); err == nil {
		t.Error("nothing failed")
	}
	if _, err := n.verdict(lost.TransactionID()); !strings.Contains(details(err), "no such transaction ID") {
		t.Errorf("found %v", err)
	}
	n.fault(fault{Kind: "after", Phase: "submit"})
	kept := n.endorse("Append", "kept")
	if _, err := kept.Submit(); err == nil {
		t.Error("nothing failed")
	}
	if code, err := n.verdict(kept.TransactionID()); err != nil || code != 0 {
		t.Errorf("%d %v", code, err)
	}
	n.fault(fault{Kind: "conflict"})
	commit, err := n.endorse("Append", "conflict").Submit()
	n.must(err)
	if got := n.code(commit); got != peer.TxValidationCode_MVCC_READ_CONFLICT {
		t.Errorf("validated as %s", got)
	}
	n.fault(fault{Kind: "delay", Phase: "order", Millis: 300})
	late := n.endorse("Append", "late")
	commit, err = late.Submit()
	n.must(err)
	if _, err := n.verdict(late.TransactionID()); err == nil {
		t.Error("it is there before it is ordered")
	}
	if got := n.code(commit); got != 0 {
		t.Errorf("validated as %s", got)
	}
	again, err := late.Submit()
	n.must(err)
	if _, err := again.Status(); err != nil {
		t.Errorf("a transaction sent twice stands where it stood: %v", err)
	}
}

func TestRestartKeepsWhatWasTaken(t *testing.T) {
	n := start(t, 1)
	_, err := n.contract.SubmitTransaction("Anchor", anchor(0, 10)...)
	n.must(err)
	n.fault(fault{Kind: "delay", Phase: "order", Millis: 60_000})
	waiting := n.endorse("Append", "waiting")
	_, err = waiting.Submit()
	n.must(err)
	n.fault(fault{Kind: "restart", Millis: 50})
	for range 100 {
		if code, err := n.verdict(waiting.TransactionID()); err == nil && code == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	found, err := n.contract.EvaluateTransaction("Get", waiting.TransactionID())
	n.must(err)
	if !bytes.Contains(found, []byte("waiting")) {
		t.Errorf("the state holds %q", found)
	}
	_, err = n.contract.SubmitTransaction("Anchor", anchor(10, 20)...)
	n.must(err)
}

func TestChaincodeThatDiesIsCalledAgain(t *testing.T) {
	n := start(t, 1)
	n.must(n.served.Process.Kill())
	_ = n.served.Wait() // killed
	if _, err := n.contract.EvaluateTransaction("Status"); err == nil {
		t.Error("nobody can have answered")
	}
	n.runChaincode()
	_, err := n.contract.SubmitTransaction("Append", "b")
	n.must(err)
}

func TestStrangersAreRefused(t *testing.T) {
	n := start(t, 1)
	_, err := n.connect("expired").GetNetwork("ledger").GetContract("metaledger").EvaluateTransaction("Status")
	if status.Code(err).String() != "Unavailable" || !strings.Contains(details(err), "proposal client identity expired") {
		t.Errorf("an expired certificate: %v", err)
	}
	_, err = n.connect("writer").GetNetwork("other").GetContract("metaledger").EvaluateTransaction("Status")
	if status.Code(err).String() != "Unavailable" {
		t.Errorf("an unknown channel: %v", err)
	}
	_, err = n.contract.EvaluateTransaction("Anchor", "1")
	if !strings.Contains(details(err), "chaincode response 500, BAD_CALL: ") {
		t.Errorf("a refusal: %v", err)
	}
}

// details returns an error's text with those of the peers.
func details(err error) string {
	text := fmt.Sprint(err)
	for _, one := range status.Convert(err).Details() {
		if detail, ok := one.(*gateway.ErrorDetail); ok {
			text += " " + detail.GetMessage()
		}
	}
	return text
}
