package main

import (
	"fmt"
	"strconv"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// system answers what Fabric's query chaincode `qscc` answers: height and newest hash, a block, a transaction with its verdict.
func (n *node) system(arguments [][]byte) *peer.Response {
	if len(arguments) < 2 {
		return refusal("Incorrect number of arguments, %d", len(arguments))
	}
	if channel := string(arguments[1]); channel != n.ledger.channel {
		return refusal("Invalid chain ID, %s", channel)
	}
	name := string(arguments[0])
	if name == "GetChainInfo" {
		return n.chainInfo()
	}
	if len(arguments) < 3 {
		return refusal("missing 3rd argument for %s", name)
	}
	asked := string(arguments[2])
	switch name {
	case "GetBlockByNumber":
		number, err := strconv.ParseUint(asked, 10, 64)
		if err != nil {
			return refusal("Failed to parse block number with error %v", err)
		}
		block, _ := n.ledger.block(number)
		if block == nil {
			return refusal("Failed to get block number %d, error no such block number [%d] in index", number, number)
		}
		return reply(block)
	case "GetTransactionByID", "GetBlockByTxID":
		at, there, _ := n.ledger.find(asked)
		if !there {
			return refusal("Failed to get transaction with id %s, error no such transaction ID [%s] in index", asked, asked)
		}
		block, _ := n.ledger.block(at.block)
		if name == "GetBlockByTxID" {
			return reply(block)
		}
		envelope := &common.Envelope{}
		if err := proto.Unmarshal(block.GetData().GetData()[at.tx], envelope); err != nil {
			return refusal("%v", err)
		}
		return reply(&peer.ProcessedTransaction{TransactionEnvelope: envelope, ValidationCode: int32(at.code)})
	}
	return refusal("Requested function %s not found.", name)
}

func (n *node) chainInfo() *peer.Response {
	n.ledger.lock.Lock()
	defer n.ledger.lock.Unlock()
	newest := n.ledger.blocks[len(n.ledger.blocks)-1]
	return reply(&common.BlockchainInfo{
		Height: uint64(len(n.ledger.blocks)), CurrentBlockHash: n.ledger.last, PreviousBlockHash: newest.GetHeader().GetPreviousHash(),
	})
}

func reply(message proto.Message) *peer.Response {
	raw, err := proto.Marshal(message)
	if err != nil {
		return refusal("%v", err)
	}
	return &peer.Response{Status: int32(common.Status_SUCCESS), Payload: raw}
}

func refusal(format string, values ...any) *peer.Response {
	return &peer.Response{Status: int32(common.Status_INTERNAL_SERVER_ERROR), Message: fmt.Sprintf(format, values...)}
}
