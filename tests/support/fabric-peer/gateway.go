package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/orderer"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	refusedFrom = 400 // a chaincode's answer from this status on is a refusal
	queries     = "qscc"
)

// service is the gateway service of one run of the peer.
type service struct {
	gateway.UnimplementedGatewayServer
	*node
}

// failed makes an error with the detail that names this peer, as the gateway does for each endorser it asked.
func (n *node) failed(code codes.Code, text, detail string) error {
	made, err := status.New(code, text).WithDetails(&gateway.ErrorDetail{Address: n.address, MspId: n.members.name, Message: detail})
	if err != nil {
		return err
	}
	return made.Err()
}

// known checks that a request is for the one channel there is.
func (n *node) known(channel string) error {
	if channel != n.ledger.channel {
		return status.Errorf(codes.Unavailable, "failed to get config for channel [%s]: could not get last config for channel %s", channel, channel)
	}
	return nil
}

// admitted checks that a reader is a member of the channel.
func (n *node) admitted(channel string, creator, message, signature []byte) error {
	if channel != n.ledger.channel {
		return status.Errorf(codes.PermissionDenied, "Failed to get policy manager for channel [%s]", channel)
	}
	if n.members.verify(creator, message, signature) != nil {
		return status.Errorf(codes.PermissionDenied, "Failed evaluating policy on signed data during check policy on channel [%s] with policy [/Channel/Application/Readers]: "+
			"[implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the 'Readers' sub-policies to be satisfied]", channel)
	}
	return nil
}

// open takes a proposal apart and checks who signed it.
func (n *node) open(channel string, signed *peer.SignedProposal) (*proposal, error) {
	p, err := parseProposal(signed)
	if err != nil {
		return nil, err
	}
	if p.channel.GetChannelId() != channel {
		return nil, errors.New("the proposal is for another channel")
	}
	err = n.members.verify(p.signature.GetCreator(), signed.GetProposalBytes(), signed.GetSignature())
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, errExpired):
		return nil, err
	case errors.Is(err, errUnknown):
		return nil, fmt.Errorf("error validating proposal: access denied: channel [%s] %w", channel, err)
	}
	return nil, fmt.Errorf("error validating proposal: access denied: channel [%s] creator org [%s]", channel, n.members.name)
}

// Evaluate runs a call and forgets what it would write.
func (s service) Evaluate(ctx context.Context, request *gateway.EvaluateRequest) (*gateway.EvaluateResponse, error) {
	if err := s.known(request.GetChannelId()); err != nil {
		return nil, err
	}
	if !s.faults.delay(ctx, "evaluate") {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if found := s.faults.strike("refuse", "evaluate"); found != nil {
		return nil, s.evaluateFailed(codes.Unknown, "chaincode response 500, "+found.Message)
	}
	p, err := s.open(request.GetChannelId(), request.GetProposedTransaction())
	if errors.Is(err, errExpired) {
		return nil, s.failed(codes.Unavailable, "failed to evaluate transaction, see attached details for more info", err.Error())
	}
	if err != nil {
		return nil, s.evaluateFailed(codes.FailedPrecondition, err.Error())
	}
	if p.chaincode == queries {
		return s.evaluated(s.system(p.input.GetArgs()))
	}
	if p.chaincode != s.chaincode.name {
		return nil, status.Errorf(codes.FailedPrecondition, "no peers available to evaluate chaincode %s in channel %s", p.chaincode, request.GetChannelId())
	}
	done, err := s.chaincode.execute(ctx, p)
	if err != nil {
		return nil, s.failed(codes.Aborted, "failed to evaluate transaction, see attached details for more info", s.unexecuted(p, err))
	}
	return s.evaluated(done.response)
}

func (s service) unexecuted(p *proposal, err error) string {
	return fmt.Sprintf("error in simulation: failed to execute transaction %s: %v", p.channel.GetTxId(), err)
}

func (s service) evaluateFailed(code codes.Code, detail string) error {
	return s.failed(code, "evaluate call to endorser returned error: "+detail, detail)
}

func (s service) evaluated(answer *peer.Response) (*gateway.EvaluateResponse, error) {
	if answer.GetStatus() >= refusedFrom {
		return nil, s.evaluateFailed(codes.Unknown, fmt.Sprintf("chaincode response %d, %s", answer.GetStatus(), answer.GetMessage()))
	}
	return &gateway.EvaluateResponse{Result: answer}, nil
}

// Endorse runs a call and signs what it read and wrote.
func (s service) Endorse(ctx context.Context, request *gateway.EndorseRequest) (*gateway.EndorseResponse, error) {
	if !s.faults.delay(ctx, "endorse") {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if found := s.faults.strike("refuse", "endorse"); found != nil {
		return nil, s.endorseFailed("chaincode response 500, " + found.Message)
	}
	p, err := s.open(request.GetChannelId(), request.GetProposedTransaction())
	if err != nil {
		return nil, s.endorseFailed(err.Error())
	}
	if p.chaincode != s.chaincode.name || request.GetChannelId() != s.ledger.channel {
		return nil, status.Errorf(codes.FailedPrecondition, "no combination of peers can be derived which satisfy the endorsement policy: "+
			"No metadata was found for chaincode %s in channel %s", p.chaincode, request.GetChannelId())
	}
	if _, there, _ := s.ledger.find(p.channel.GetTxId()); there {
		return nil, s.endorseFailed(fmt.Sprintf("duplicate transaction found [%s]", p.channel.GetTxId()))
	}
	done, err := s.chaincode.execute(ctx, p)
	if err != nil {
		return nil, s.endorseFailed(s.unexecuted(p, err))
	}
	if done.response.GetStatus() >= refusedFrom {
		return nil, s.endorseFailed(fmt.Sprintf("chaincode response %d, %s", done.response.GetStatus(), done.response.GetMessage()))
	}
	results, err := done.simulation.results(s.chaincode.name)
	if err != nil {
		return nil, s.endorseFailed(err.Error())
	}
	envelope, err := p.endorse(s.signer, results, done.response, done.event)
	if err != nil {
		return nil, s.endorseFailed(err.Error())
	}
	return &gateway.EndorseResponse{PreparedTransaction: envelope}, nil
}

func (s service) endorseFailed(detail string) error {
	return s.failed(codes.Aborted, "failed to endorse transaction, see attached details for more info", detail)
}

// Submit hands a signed transaction to the orderer.
func (s service) Submit(ctx context.Context, request *gateway.SubmitRequest) (*gateway.SubmitResponse, error) {
	if err := s.known(request.GetChannelId()); err != nil {
		return nil, err
	}
	if !s.faults.delay(ctx, "submit") {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	raw, err := proto.Marshal(request.GetPreparedTransaction())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	one, err := parseTransaction(raw)
	if err != nil || one.action == nil || one.id != request.GetTransactionId() || one.channel != s.ledger.channel {
		return nil, status.Error(codes.InvalidArgument, "the prepared transaction is none of this channel")
	}
	// The orderer admits what a member signed; whatever else is wrong with it, validation says.
	if err := s.members.verify(one.creator, one.payload, one.signature); err != nil {
		return nil, s.failed(codes.Aborted, "no orderers could successfully process transaction", "received unsuccessful response from orderer: FORBIDDEN: "+err.Error())
	}
	if s.faults.strike("before", "submit") != nil {
		return nil, status.Error(codes.Unavailable, "the connection failed")
	}
	if err := s.orderer.take(one); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if s.faults.strike("after", "submit") != nil {
		if _, err := s.await(ctx, one.id); err != nil {
			return nil, err
		}
		return nil, status.Error(codes.Unavailable, "the connection failed")
	}
	return &gateway.SubmitResponse{}, nil
}

// await returns where a transaction stands, as soon as it stands somewhere.
func (n *node) await(ctx context.Context, id string) (place, error) {
	for {
		found, there, grown := n.ledger.find(id)
		if there {
			return found, nil
		}
		if err := n.wait(ctx, grown); err != nil {
			return place{}, err
		}
	}
}

// wait returns when the chain has grown; it fails when the caller is gone, or the peer stops.
func (n *node) wait(ctx context.Context, grown <-chan struct{}) error {
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-n.stopping:
		return status.Error(codes.Unavailable, "the peer stops")
	}
}

// CommitStatus waits for a transaction's block.
func (s service) CommitStatus(ctx context.Context, signed *gateway.SignedCommitStatusRequest) (*gateway.CommitStatusResponse, error) {
	var request gateway.CommitStatusRequest
	if err := proto.Unmarshal(signed.GetRequest(), &request); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.admitted(request.GetChannelId(), request.GetIdentity(), signed.GetRequest(), signed.GetSignature()); err != nil {
		return nil, err
	}
	if !s.faults.delay(ctx, "status") {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	found, err := s.await(ctx, request.GetTransactionId())
	if err != nil {
		return nil, err
	}
	return &gateway.CommitStatusResponse{Result: found.code, BlockNumber: found.block}, nil
}

// ChaincodeEvents sends the events of valid transactions, a block at a time.
func (s service) ChaincodeEvents(signed *gateway.SignedChaincodeEventsRequest, to gateway.Gateway_ChaincodeEventsServer) error {
	var request gateway.ChaincodeEventsRequest
	if err := proto.Unmarshal(signed.GetRequest(), &request); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.admitted(request.GetChannelId(), request.GetIdentity(), signed.GetRequest(), signed.GetSignature()); err != nil {
		return err
	}
	number, after := s.seek(request.GetStartPosition()), request.GetAfterTransactionId()
	for {
		block, grown := s.ledger.block(number)
		if block == nil {
			if err := s.wait(to.Context(), grown); err != nil {
				return err
			}
			continue
		}
		events, err := eventsOf(block, request.GetChaincodeId(), after)
		if err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		if len(events) > 0 {
			if err := to.Send(&gateway.ChaincodeEventsResponse{Events: events, BlockNumber: number}); err != nil {
				return err
			}
		}
		number, after = number+1, ""
	}
}

// seek returns the block at which a position stands. None is the next one to come.
func (n *node) seek(position *orderer.SeekPosition) uint64 {
	height := n.ledger.height()
	switch at := position.GetType().(type) {
	case *orderer.SeekPosition_Oldest:
		return 0
	case *orderer.SeekPosition_Newest:
		return height - 1
	case *orderer.SeekPosition_Specified:
		return at.Specified.GetNumber()
	}
	return height
}

// eventsOf returns the events of a block's valid transactions, those after one of them if it is named.
func eventsOf(block *common.Block, chaincode, after string) ([]*peer.ChaincodeEvent, error) {
	var found []*peer.ChaincodeEvent
	passed := after == ""
	for i, raw := range block.GetData().GetData() {
		one, err := parseTransaction(raw)
		if err != nil {
			return nil, err
		}
		if passed && verdict(block, i) == peer.TxValidationCode_VALID && one.event != nil && one.event.GetChaincodeId() == chaincode {
			found = append(found, one.event)
		}
		passed = passed || one.id == after
	}
	return found, nil
}
