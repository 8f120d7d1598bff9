package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// proposal is a signed proposal taken apart.
type proposal struct {
	signed    *peer.SignedProposal
	header    *common.Header
	channel   *common.ChannelHeader
	signature *common.SignatureHeader
	payload   *peer.ChaincodeProposalPayload
	chaincode string
	input     *peer.ChaincodeInput
}

func parseProposal(signed *peer.SignedProposal) (*proposal, error) {
	var outer peer.Proposal
	var invocation peer.ChaincodeInvocationSpec
	p := &proposal{signed: signed, payload: &peer.ChaincodeProposalPayload{}}
	if err := proto.Unmarshal(signed.GetProposalBytes(), &outer); err != nil {
		return nil, err
	}
	var err error
	if p.header, p.channel, p.signature, err = parseHeader(outer.GetHeader()); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(outer.GetPayload(), p.payload); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(p.payload.GetInput(), &invocation); err != nil {
		return nil, err
	}
	p.chaincode = invocation.GetChaincodeSpec().GetChaincodeId().GetName()
	p.input = invocation.GetChaincodeSpec().GetInput()
	if p.chaincode == "" || p.input == nil {
		return nil, errors.New("the proposal calls no chaincode")
	}
	if id := transactionID(p.signature.GetNonce(), p.signature.GetCreator()); id != p.channel.GetTxId() {
		return nil, fmt.Errorf("incorrectly computed txid '%s'", p.channel.GetTxId())
	}
	return p, nil
}

func parseHeader(raw []byte) (*common.Header, *common.ChannelHeader, *common.SignatureHeader, error) {
	header, channel, signature := &common.Header{}, &common.ChannelHeader{}, &common.SignatureHeader{}
	if err := proto.Unmarshal(raw, header); err != nil {
		return nil, nil, nil, err
	}
	if err := proto.Unmarshal(header.GetChannelHeader(), channel); err != nil {
		return nil, nil, nil, err
	}
	err := proto.Unmarshal(header.GetSignatureHeader(), signature)
	return header, channel, signature, err
}

// endorse makes the transaction that the client signs.
func (p *proposal) endorse(by *signer, results []byte, answer *peer.Response, event *peer.ChaincodeEvent) (*common.Envelope, error) {
	action := &peer.ChaincodeAction{Results: results, Response: answer, ChaincodeId: &peer.ChaincodeID{Name: p.chaincode, Version: "1"}}
	if event != nil {
		// The peer names chaincode and transaction itself, whatever the chaincode said.
		raw, err := proto.Marshal(&peer.ChaincodeEvent{
			ChaincodeId: p.chaincode, TxId: p.channel.GetTxId(), EventName: event.GetEventName(), Payload: event.GetPayload(),
		})
		if err != nil {
			return nil, err
		}
		action.Events = raw
	}
	seen, err := proto.Marshal(&peer.ChaincodeProposalPayload{Input: p.payload.GetInput()}) // without the transient map
	if err != nil {
		return nil, err
	}
	extension, err := proto.Marshal(action)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bytes.Join([][]byte{p.header.GetChannelHeader(), p.header.GetSignatureHeader(), seen}, nil))
	response, err := proto.Marshal(&peer.ProposalResponsePayload{ProposalHash: sum[:], Extension: extension})
	if err != nil {
		return nil, err
	}
	signature, err := by.sign(append(append([]byte{}, response...), by.identity...))
	if err != nil {
		return nil, err
	}
	payload, err := proto.Marshal(&peer.ChaincodeActionPayload{
		ChaincodeProposalPayload: seen,
		Action: &peer.ChaincodeEndorsedAction{
			ProposalResponsePayload: response, Endorsements: []*peer.Endorsement{{Endorser: by.identity, Signature: signature}},
		},
	})
	if err != nil {
		return nil, err
	}
	whole, err := proto.Marshal(&peer.Transaction{Actions: []*peer.TransactionAction{{Header: p.header.GetSignatureHeader(), Payload: payload}}})
	if err != nil {
		return nil, err
	}
	raw, err := proto.Marshal(&common.Payload{Header: p.header, Data: whole})
	return &common.Envelope{Payload: raw}, err
}

// transaction is an endorsed envelope taken apart.
type transaction struct {
	raw       []byte
	id        string
	kind      common.HeaderType
	channel   string
	creator   []byte
	nonce     []byte
	payload   []byte
	signature []byte
	response  []byte
	endorsers []*peer.Endorsement
	action    *peer.ChaincodeAction
	event     *peer.ChaincodeEvent
}

func parseTransaction(raw []byte) (*transaction, error) {
	var envelope common.Envelope
	var payload common.Payload
	if err := proto.Unmarshal(raw, &envelope); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(envelope.GetPayload(), &payload); err != nil {
		return nil, err
	}
	channel, signature := &common.ChannelHeader{}, &common.SignatureHeader{}
	if err := proto.Unmarshal(payload.GetHeader().GetChannelHeader(), channel); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(payload.GetHeader().GetSignatureHeader(), signature); err != nil {
		return nil, err
	}
	t := &transaction{
		raw: raw, id: channel.GetTxId(), kind: common.HeaderType(channel.GetType()), channel: channel.GetChannelId(),
		creator: signature.GetCreator(), nonce: signature.GetNonce(), payload: envelope.GetPayload(), signature: envelope.GetSignature(),
	}
	if t.kind != common.HeaderType_ENDORSER_TRANSACTION {
		return t, nil
	}
	return t, t.parseAction(payload.GetData())
}

func (t *transaction) parseAction(raw []byte) error {
	var whole peer.Transaction
	var payload peer.ChaincodeActionPayload
	var response peer.ProposalResponsePayload
	if err := proto.Unmarshal(raw, &whole); err != nil {
		return err
	}
	if len(whole.GetActions()) != 1 {
		return fmt.Errorf("%d actions, not one", len(whole.GetActions()))
	}
	if err := proto.Unmarshal(whole.GetActions()[0].GetPayload(), &payload); err != nil {
		return err
	}
	t.response, t.endorsers = payload.GetAction().GetProposalResponsePayload(), payload.GetAction().GetEndorsements()
	if err := proto.Unmarshal(t.response, &response); err != nil {
		return err
	}
	t.action = &peer.ChaincodeAction{}
	if err := proto.Unmarshal(response.GetExtension(), t.action); err != nil {
		return err
	}
	if len(t.action.GetEvents()) > 0 {
		t.event = &peer.ChaincodeEvent{}
		return proto.Unmarshal(t.action.GetEvents(), t.event)
	}
	return nil
}

// verify checks both signatures: the client's on the whole, and the peer's own on the results.
func (t *transaction) verify(members *membership, endorser []byte) peer.TxValidationCode {
	if transactionID(t.nonce, t.creator) != t.id {
		return peer.TxValidationCode_BAD_PROPOSAL_TXID
	}
	if members.verify(t.creator, t.payload, t.signature) != nil {
		return peer.TxValidationCode_BAD_CREATOR_SIGNATURE
	}
	for _, one := range t.endorsers {
		signed := append(append([]byte{}, t.response...), endorser...)
		if bytes.Equal(one.GetEndorser(), endorser) && members.verify(endorser, signed, one.GetSignature()) == nil {
			return peer.TxValidationCode_VALID
		}
	}
	return peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE
}
