package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

func TestRangesThatChangedAreConflicts(t *testing.T) {
	l := &ledger{state: newState()}
	for _, key := range []string{"b", "d", "f"} {
		l.state.put(key, []byte(key), version{1, 0})
	}
	look := func(most int) *kvrwset.KVRWSet {
		run := l.simulate()
		run.next(run.open("a", "e"), most)
		return &kvrwset.KVRWSet{RangeQueriesInfo: run.ranges}
	}
	whole, part := look(9), look(1)
	expect := func(name string, set *kvrwset.KVRWSet, want peer.TxValidationCode) {
		t.Helper()
		if got := l.state.check(set); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	expect("as it was", whole, peer.TxValidationCode_VALID)
	l.state.put("f", nil, version{2, 0})
	l.state.put("e", nil, version{2, 0})
	expect("beyond the range", whole, peer.TxValidationCode_VALID)
	l.state.put("c", nil, version{2, 0})
	expect("a key came", whole, peer.TxValidationCode_PHANTOM_READ_CONFLICT)
	expect("a key came behind what was read", part, peer.TxValidationCode_VALID)
	l.state.delete("c")
	l.state.put("b", nil, version{2, 0})
	expect("a key changed", whole, peer.TxValidationCode_PHANTOM_READ_CONFLICT)
	l.state.delete("b")
	expect("a key went", part, peer.TxValidationCode_PHANTOM_READ_CONFLICT)
}

func TestTransactionsThatWereAlteredAreInvalid(t *testing.T) {
	n := start(t, 1)
	raw, err := n.client.GetContract("qscc").EvaluateTransaction("GetBlockByNumber", "ledger", "1")
	n.must(err)
	var block common.Block
	n.must(proto.Unmarshal(raw, &block))
	members, err := loadMembership("Org1MSP", filepath.Join(n.settings.material, "ca.pem"))
	n.must(err)
	strange, err := loadMembership("Org2MSP", filepath.Join(n.settings.material, "ca.pem"))
	n.must(err)
	for name, c := range map[string]struct {
		alter func(*transaction)
		of    *membership
		want  peer.TxValidationCode
	}{
		"nothing":          {func(*transaction) {}, members, peer.TxValidationCode_VALID},
		"another payload":  {func(one *transaction) { one.payload = append(one.payload, 0) }, members, peer.TxValidationCode_BAD_CREATOR_SIGNATURE},
		"another MSP":      {func(*transaction) {}, strange, peer.TxValidationCode_BAD_CREATOR_SIGNATURE},
		"another result":   {func(one *transaction) { one.response = append(one.response, 0) }, members, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE},
		"another endorser": {func(one *transaction) { one.endorsers[0].Endorser = one.creator }, members, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE},
		"another id":       {func(one *transaction) { one.id = "00" }, members, peer.TxValidationCode_BAD_PROPOSAL_TXID},
	} {
		one, err := parseTransaction(block.GetData().GetData()[0])
		n.must(err)
		endorser := one.endorsers[0].GetEndorser()
		c.alter(one)
		if got := one.verify(c.of, endorser); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestCursorIsBlockAndTransaction(t *testing.T) {
	n := start(t, 3)
	var commits []*client.Commit
	for _, batch := range []string{"a", "b", "c"} {
		commit, err := n.endorse("Append", batch).Submit()
		n.must(err)
		commits = append(commits, commit)
	}
	found, err := commits[0].Status()
	n.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := n.client.ChaincodeEvents(ctx, "metaledger", client.WithStartBlock(found.BlockNumber))
	n.must(err)
	first, second, third := <-all, <-all, <-all
	if third.BlockNumber != first.BlockNumber {
		t.Fatal("three transactions are not in one block")
	}
	after, err := n.client.ChaincodeEvents(ctx, "metaledger", client.WithCheckpoint(checkpoint{second.BlockNumber, second.TransactionID}))
	n.must(err)
	if one := <-after; one.TransactionID != third.TransactionID {
		t.Errorf("after the second comes %s", one.TransactionID)
	}
}

func TestJournalCutsOffWhatACrashLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for _, tail := range [][]byte{nil, {0}, {0, 0, 0, 9, 1, 2, 3, 4, 'x'}, {0, 0, 0, 1, 1, 2, 3, 4, 'x'}, {255, 255, 255, 255, 0, 0, 0, 0, 1}} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			file, records, err := openJournal(path)
			if err != nil || len(records) != round {
				t.Fatalf("%v: %d records, %v", tail, len(records), err)
			}
			if err := file.write([]byte("record")); err != nil {
				t.Fatal(err)
			}
			if _, err := file.file.Write(tail); err != nil {
				t.Fatal(err)
			}
			if err := file.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
