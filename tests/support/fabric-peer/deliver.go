package main

import (
	"math"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// timeWindow is how far the clocks of a reader and a peer may be apart.
const timeWindow = 15 * time.Minute

// blocks is the deliver service: whole blocks, or what matters of them.
type blocks struct {
	peer.UnimplementedDeliverServer
	*node
}

type deliverStream = grpc.BidiStreamingServer[common.Envelope, peer.DeliverResponse]

// Deliver sends whole blocks.
func (b blocks) Deliver(stream deliverStream) error {
	return b.serve(stream, func(block *common.Block) (*peer.DeliverResponse, error) {
		return &peer.DeliverResponse{Type: &peer.DeliverResponse_Block{Block: block}}, nil
	})
}

// DeliverFiltered sends ids and verdicts of transactions, and the names of their events.
func (b blocks) DeliverFiltered(stream deliverStream) error {
	return b.serve(stream, func(block *common.Block) (*peer.DeliverResponse, error) {
		found, err := b.filtered(block)
		return &peer.DeliverResponse{Type: &peer.DeliverResponse_FilteredBlock{FilteredBlock: found}}, err
	})
}

func (b blocks) filtered(block *common.Block) (*peer.FilteredBlock, error) {
	found := &peer.FilteredBlock{ChannelId: b.ledger.channel, Number: block.GetHeader().GetNumber()}
	for i, raw := range block.GetData().GetData() {
		one, err := parseTransaction(raw)
		if err != nil {
			return nil, err
		}
		filtered := &peer.FilteredTransaction{Txid: one.id, Type: one.kind, TxValidationCode: verdict(block, i)}
		if one.event != nil {
			event := proto.Clone(one.event).(*peer.ChaincodeEvent)
			event.Payload = nil
			actions := &peer.FilteredTransactionActions{ChaincodeActions: []*peer.FilteredChaincodeAction{{ChaincodeEvent: event}}}
			filtered.Data = &peer.FilteredTransaction_TransactionActions{TransactionActions: actions}
		}
		found.FilteredTransactions = append(found.FilteredTransactions, filtered)
	}
	return found, nil
}

// serve answers one request for blocks after the other.
func (b blocks) serve(stream deliverStream, shape func(*common.Block) (*peer.DeliverResponse, error)) error {
	for {
		envelope, err := stream.Recv()
		if err != nil {
			return nil // the client is done
		}
		code, err := b.send(stream, envelope, shape)
		if err != nil {
			return err
		}
		if err := stream.Send(&peer.DeliverResponse{Type: &peer.DeliverResponse_Status{Status: code}}); err != nil || code != common.Status_SUCCESS {
			return err
		}
	}
}

func (b blocks) send(stream deliverStream, envelope *common.Envelope, shape func(*common.Block) (*peer.DeliverResponse, error)) (common.Status, error) {
	var payload common.Payload
	var seek orderer.SeekInfo
	if proto.Unmarshal(envelope.GetPayload(), &payload) != nil || proto.Unmarshal(payload.GetData(), &seek) != nil {
		return common.Status_BAD_REQUEST, nil
	}
	channel, signature := &common.ChannelHeader{}, &common.SignatureHeader{}
	if proto.Unmarshal(payload.GetHeader().GetChannelHeader(), channel) != nil || proto.Unmarshal(payload.GetHeader().GetSignatureHeader(), signature) != nil {
		return common.Status_BAD_REQUEST, nil
	}
	if channel.GetChannelId() != b.ledger.channel {
		return common.Status_NOT_FOUND, nil
	}
	if apart := time.Since(channel.GetTimestamp().AsTime()); apart.Abs() > timeWindow {
		return common.Status_BAD_REQUEST, nil
	}
	if b.members.verify(signature.GetCreator(), envelope.GetPayload(), envelope.GetSignature()) != nil {
		return common.Status_FORBIDDEN, nil
	}
	number, last := b.seek(seek.GetStart()), uint64(math.MaxUint64)
	if seek.GetStop() != nil {
		last = b.seek(seek.GetStop())
	}
	if number > last {
		return common.Status_BAD_REQUEST, nil
	}
	for {
		block, grown := b.ledger.block(number)
		if block == nil {
			if seek.GetBehavior() == orderer.SeekInfo_FAIL_IF_NOT_READY {
				return common.Status_NOT_FOUND, nil
			}
			if err := b.wait(stream.Context(), grown); err != nil {
				return common.Status_SERVICE_UNAVAILABLE, err
			}
			continue
		}
		shaped, err := shape(block)
		if err != nil {
			return common.Status_INTERNAL_SERVER_ERROR, err
		}
		if err := stream.Send(shaped); err != nil {
			return common.Status_SERVICE_UNAVAILABLE, err
		}
		if number == last {
			return common.Status_SUCCESS, nil
		}
		number++
	}
}
