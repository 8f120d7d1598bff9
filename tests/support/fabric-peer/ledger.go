package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// place is where a transaction stands in the chain.
type place struct {
	block, tx uint64
	code      peer.TxValidationCode
}

// ledger is one channel: its blocks on disk and in memory, and the state that the valid transactions made.
type ledger struct {
	channel string
	lock    sync.Mutex
	blocks  []*common.Block
	places  map[string]place
	state   *state
	last    []byte // hash of the newest block's header
	file    *journal
	grown   chan struct{} // closed when a block comes
}

func openLedger(dir, channel string) (*ledger, error) {
	file, records, err := openJournal(filepath.Join(dir, "blocks"))
	if err != nil {
		return nil, err
	}
	l := &ledger{channel: channel, places: map[string]place{}, state: newState(), file: file, grown: make(chan struct{})}
	for _, raw := range records {
		block := &common.Block{}
		if err := proto.Unmarshal(raw, block); err != nil {
			return nil, err
		}
		if err := l.replay(block); err != nil {
			return nil, err
		}
	}
	if len(records) == 0 {
		return l, l.begin()
	}
	if first, err := parseTransaction(l.blocks[0].GetData().GetData()[0]); err != nil || first.channel != l.channel {
		return nil, fmt.Errorf("%s holds another channel than %q", dir, l.channel)
	}
	return l, nil
}

// begin makes block 0: one configuration, which says no more than the channel's name.
func (l *ledger) begin() error {
	channel, err := proto.Marshal(&common.ChannelHeader{Type: int32(common.HeaderType_CONFIG), ChannelId: l.channel})
	if err != nil {
		return err
	}
	payload, err := proto.Marshal(&common.Payload{Header: &common.Header{ChannelHeader: channel}})
	if err != nil {
		return err
	}
	raw, err := proto.Marshal(&common.Envelope{Payload: payload})
	if err != nil {
		return err
	}
	return l.extend([]*transaction{{raw: raw}}, []peer.TxValidationCode{peer.TxValidationCode_VALID})
}

// headerHash is SHA-256 over the header's DER, as Fabric chains its blocks.
func headerHash(header *common.BlockHeader) ([]byte, error) {
	raw, err := asn1.Marshal(struct {
		Number       *big.Int
		PreviousHash []byte
		DataHash     []byte
	}{new(big.Int).SetUint64(header.GetNumber()), header.GetPreviousHash(), header.GetDataHash()})
	sum := sha256.Sum256(raw)
	return sum[:], err
}

// commit judges transactions, each against the state after those before it, and makes a block of all of them.
func (l *ledger) commit(transactions []*transaction, members *membership, endorser []byte, conflict func() bool) ([]peer.TxValidationCode, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	codes, seen := make([]peer.TxValidationCode, len(transactions)), map[string]bool{}
	for i, one := range transactions {
		_, known := l.places[one.id]
		set, err := parseResults(one.action.GetResults())
		switch {
		case known || seen[one.id]:
			codes[i] = peer.TxValidationCode_DUPLICATE_TXID
		case err != nil:
			codes[i] = peer.TxValidationCode_BAD_RWSET
		case conflict():
			codes[i] = peer.TxValidationCode_MVCC_READ_CONFLICT
		default:
			if codes[i] = one.verify(members, endorser); codes[i] == peer.TxValidationCode_VALID {
				codes[i] = l.state.check(set)
			}
		}
		seen[one.id] = true
		if codes[i] == peer.TxValidationCode_VALID {
			l.state.apply(set, version{uint64(len(l.blocks)), uint64(i)})
		}
	}
	return codes, l.extend(transactions, codes)
}

// extend writes a block down, then shows it. The state has it already, and the lock is held: nobody sees one without the other.
func (l *ledger) extend(transactions []*transaction, codes []peer.TxValidationCode) error {
	envelopes, flags := make([][]byte, len(codes)), make([]byte, len(codes))
	for i, code := range codes {
		envelopes[i], flags[i] = transactions[i].raw, byte(code)
	}
	sum := sha256.Sum256(bytes.Join(envelopes, nil))
	metadata := make([][]byte, len(common.BlockMetadataIndex_name))
	metadata[common.BlockMetadataIndex_TRANSACTIONS_FILTER] = flags
	block := &common.Block{
		Header:   &common.BlockHeader{Number: uint64(len(l.blocks)), PreviousHash: l.last, DataHash: sum[:]},
		Data:     &common.BlockData{Data: envelopes},
		Metadata: &common.BlockMetadata{Metadata: metadata},
	}
	raw, err := proto.Marshal(block)
	if err != nil {
		return err
	}
	if err := l.file.write(raw); err != nil {
		return err
	}
	return l.show(block, transactions)
}

// show makes a block visible.
func (l *ledger) show(block *common.Block, transactions []*transaction) error {
	hash, err := headerHash(block.GetHeader())
	if err != nil {
		return err
	}
	number := block.GetHeader().GetNumber()
	for i, one := range transactions {
		if _, known := l.places[one.id]; one.id != "" && !known {
			l.places[one.id] = place{number, uint64(i), verdict(block, i)}
		}
	}
	l.blocks, l.last = append(l.blocks, block), hash
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

// replay takes a block from the disk, as it was judged before.
func (l *ledger) replay(block *common.Block) error {
	number := block.GetHeader().GetNumber()
	if number != uint64(len(l.blocks)) || !bytes.Equal(block.GetHeader().GetPreviousHash(), l.last) {
		return fmt.Errorf("block %d does not follow", number)
	}
	var transactions []*transaction
	for i, raw := range block.GetData().GetData() {
		one, err := parseTransaction(raw)
		if err != nil {
			return err
		}
		transactions = append(transactions, one)
		if verdict(block, i) != peer.TxValidationCode_VALID || one.action == nil {
			continue
		}
		set, err := parseResults(one.action.GetResults())
		if err != nil {
			return err
		}
		l.state.apply(set, version{number, uint64(i)})
	}
	return l.show(block, transactions)
}

func verdict(block *common.Block, tx int) peer.TxValidationCode {
	return peer.TxValidationCode(block.GetMetadata().GetMetadata()[common.BlockMetadataIndex_TRANSACTIONS_FILTER][tx])
}

// block returns a block, or a channel that closes when the chain has grown.
func (l *ledger) block(number uint64) (*common.Block, <-chan struct{}) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if number < uint64(len(l.blocks)) {
		return l.blocks[number], nil
	}
	return nil, l.grown
}

// find returns where a transaction stands, or a channel that closes when the chain has grown.
func (l *ledger) find(id string) (place, bool, <-chan struct{}) {
	l.lock.Lock()
	defer l.lock.Unlock()
	found, there := l.places[id]
	return found, there, l.grown
}

func (l *ledger) height() uint64 {
	l.lock.Lock()
	defer l.lock.Unlock()
	return uint64(len(l.blocks))
}
