package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/queryresult"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

const (
	executeTimeout = 30 * time.Second
	connectTimeout = 5 * time.Second
	largest        = 100 << 20
	page           = 100
)

// chaincode is the real chaincode, run as a service somewhere, which this peer calls over the chaincode stream.
type chaincode struct {
	name, address string
	ledger        *ledger

	lock sync.Mutex
	live *stream
}

// stream is one connection to it. It dies with its first error, and the next call makes another.
type stream struct {
	connection *grpc.ClientConn
	chat       peer.Chaincode_ConnectClient
	sending    sync.Mutex
	lock       sync.Mutex
	calls      map[string]*execution
	done       chan struct{}
	failure    error
}

// execution is one call under way.
type execution struct {
	lock       sync.Mutex
	simulation *simulation
	cursors    map[string]*cursor
	finished   chan *peer.ChaincodeMessage
}

// outcome is what a call came to.
type outcome struct {
	response   *peer.Response
	event      *peer.ChaincodeEvent
	simulation *simulation
}

// execute runs one call and hands over what it read and wrote.
func (c *chaincode) execute(ctx context.Context, p *proposal) (*outcome, error) {
	live, err := c.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("could not launch chaincode %[1]s: connection to %[1]s failed: %[2]w", c.name, err)
	}
	payload, err := proto.Marshal(p.input)
	if err != nil {
		return nil, err
	}
	one := &execution{simulation: c.ledger.simulate(), cursors: map[string]*cursor{}, finished: make(chan *peer.ChaincodeMessage, 1)}
	id := p.channel.GetTxId()
	if !live.enter(id, one) {
		return nil, fmt.Errorf("txid: %s exists", id)
	}
	defer live.leave(id)
	if err := live.send(&peer.ChaincodeMessage{
		Type: peer.ChaincodeMessage_TRANSACTION, Payload: payload, Txid: id, ChannelId: p.channel.GetChannelId(), Proposal: p.signed,
	}); err != nil {
		return nil, err
	}
	timer := time.NewTimer(executeTimeout)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, errors.New("timeout expired while executing transaction")
	case <-live.done:
		return nil, fmt.Errorf("error sending: chaincode stream terminated: %w", live.failure)
	case message := <-one.finished:
		one.lock.Lock()
		defer one.lock.Unlock()
		if message.GetType() == peer.ChaincodeMessage_ERROR {
			return nil, fmt.Errorf("transaction returned with failure: %s", message.GetPayload())
		}
		response := &peer.Response{}
		if err := proto.Unmarshal(message.GetPayload(), response); err != nil {
			return nil, err
		}
		return &outcome{response, message.GetChaincodeEvent(), one.simulation}, nil
	}
}

// connect returns the stream, made anew when there is none.
func (c *chaincode) connect(ctx context.Context) (*stream, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.live != nil {
		select {
		case <-c.live.done:
		default:
			return c.live, nil
		}
	}
	connection, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest)))
	if err != nil {
		return nil, err
	}
	live := &stream{connection: connection, calls: map[string]*execution{}, done: make(chan struct{})}
	if err := live.greet(ctx, c.name); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	go live.listen()
	c.live = live
	return live, nil
}

// greet opens the stream: the chaincode registers, the peer says that it is ready and what it can do.
func (s *stream) greet(ctx context.Context, name string) error {
	// The stream outlives the call that opens it: only the greeting ends with the call.
	whole, stop := context.WithCancel(context.Background())
	timer := time.AfterFunc(connectTimeout, stop)
	unhook := context.AfterFunc(ctx, stop)
	defer func() { timer.Stop(); unhook() }()
	var err error
	if s.chat, err = peer.NewChaincodeClient(s.connection).Connect(whole); err != nil {
		stop()
		return err
	}
	first, err := s.chat.Recv()
	if err == nil && first.GetType() != peer.ChaincodeMessage_REGISTER {
		err = fmt.Errorf("%s begins with %s", name, first.GetType())
	}
	if err != nil {
		stop()
		return err
	}
	able, err := proto.Marshal(&peer.ChaincodeAdditionalParams{
		UseWriteBatch: true, MaxSizeWriteBatch: 1000, UseGetMultipleKeys: true, MaxSizeGetMultipleKeys: 1000,
	})
	if err != nil {
		return err
	}
	if err := s.send(&peer.ChaincodeMessage{Type: peer.ChaincodeMessage_REGISTERED}); err != nil {
		return err
	}
	return s.send(&peer.ChaincodeMessage{Type: peer.ChaincodeMessage_READY, Payload: able})
}

func (s *stream) send(message *peer.ChaincodeMessage) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.chat.Send(message)
}

func (s *stream) enter(id string, one *execution) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, there := s.calls[id]; there {
		return false
	}
	s.calls[id] = one
	return true
}

func (s *stream) leave(id string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.calls, id)
}

// listen answers what the chaincode asks. A call asks one thing at a time; several calls ask at once.
func (s *stream) listen() {
	for {
		message, err := s.chat.Recv()
		if err != nil {
			s.failure = errors.Join(err, s.connection.Close())
			close(s.done)
			return
		}
		s.lock.Lock()
		one := s.calls[message.GetTxid()]
		s.lock.Unlock()
		switch {
		case message.GetType() == peer.ChaincodeMessage_KEEPALIVE:
		case message.GetType() == peer.ChaincodeMessage_COMPLETED || message.GetType() == peer.ChaincodeMessage_ERROR:
			if one != nil { // its caller may be gone: a chaincode that is answered then ends the stream
				one.finish(message)
			}
		case one == nil:
			go s.reply(message, nil, fmt.Errorf("no ledger context for %s", message.GetTxid()))
		default:
			go func() {
				payload, err := one.answer(message)
				s.reply(message, payload, err)
			}()
		}
	}
}

// finish hands over the end of a call. A chaincode that ends a call twice is not listened to.
func (e *execution) finish(message *peer.ChaincodeMessage) {
	select {
	case e.finished <- message:
	default:
	}
}

func (s *stream) reply(to *peer.ChaincodeMessage, payload []byte, err error) {
	answer := &peer.ChaincodeMessage{Type: peer.ChaincodeMessage_RESPONSE, Payload: payload, Txid: to.GetTxid(), ChannelId: to.GetChannelId()}
	if err != nil {
		answer.Type, answer.Payload = peer.ChaincodeMessage_ERROR, []byte(err.Error())
	}
	_ = s.send(answer) // when the stream is broken, `listen` says so
}

// answer does what a message asks of the state. Private collections, metadata, history and other chaincodes are not there.
func (e *execution) answer(message *peer.ChaincodeMessage) ([]byte, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	raw := message.GetPayload()
	switch message.GetType() {
	case peer.ChaincodeMessage_GET_STATE:
		var asked peer.GetState
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		return e.simulation.get(asked.GetKey()), public(asked.GetCollection())
	case peer.ChaincodeMessage_GET_STATE_MULTIPLE:
		var asked peer.GetStateMultiple
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		found := &peer.GetStateMultipleResult{}
		for _, key := range asked.GetKeys() {
			found.Values = append(found.Values, e.simulation.get(key))
		}
		answer, err := proto.Marshal(found)
		return answer, errors.Join(err, public(asked.GetCollection()))
	case peer.ChaincodeMessage_PUT_STATE:
		var asked peer.PutState
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		e.simulation.put(asked.GetKey(), asked.GetValue())
		return nil, public(asked.GetCollection())
	case peer.ChaincodeMessage_DEL_STATE:
		var asked peer.DelState
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		e.simulation.delete(asked.GetKey())
		return nil, public(asked.GetCollection())
	case peer.ChaincodeMessage_WRITE_BATCH_STATE:
		return nil, e.writeBatch(raw)
	case peer.ChaincodeMessage_GET_STATE_BY_RANGE, peer.ChaincodeMessage_QUERY_STATE_NEXT, peer.ChaincodeMessage_QUERY_STATE_CLOSE:
		return e.query(message.GetType(), raw)
	}
	return nil, fmt.Errorf("this stand-in does not know %s", message.GetType())
}

func public(collection string) error {
	if collection != "" {
		return errors.New("this stand-in has no private collections")
	}
	return nil
}

func (e *execution) writeBatch(raw []byte) error {
	var asked peer.WriteBatchState
	if err := proto.Unmarshal(raw, &asked); err != nil {
		return err
	}
	for _, one := range asked.GetRec() {
		if err := public(one.GetCollection()); err != nil {
			return err
		}
		switch one.GetType() {
		case peer.WriteRecord_PUT_STATE:
			e.simulation.put(one.GetKey(), one.GetValue())
		case peer.WriteRecord_DEL_STATE:
			e.simulation.delete(one.GetKey())
		default:
			return fmt.Errorf("this stand-in does not know %s", one.GetType())
		}
	}
	return nil
}

func (e *execution) query(kind peer.ChaincodeMessage_Type, raw []byte) ([]byte, error) {
	var id string
	switch kind {
	case peer.ChaincodeMessage_GET_STATE_BY_RANGE:
		var asked peer.GetStateByRange
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		if err := public(asked.GetCollection()); err != nil {
			return nil, err
		}
		id = fmt.Sprint(len(e.cursors))
		e.cursors[id] = e.simulation.open(asked.GetStartKey(), asked.GetEndKey())
	case peer.ChaincodeMessage_QUERY_STATE_CLOSE:
		var asked peer.QueryStateClose
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		return proto.Marshal(&peer.QueryResponse{Id: asked.GetId()})
	default:
		var asked peer.QueryStateNext
		if err := proto.Unmarshal(raw, &asked); err != nil {
			return nil, err
		}
		id = asked.GetId()
	}
	open, there := e.cursors[id]
	if !there {
		return nil, errors.New("query iterator not found")
	}
	keys, values := e.simulation.next(open, page)
	found := &peer.QueryResponse{HasMore: len(open.keys) > 0, Id: id}
	for i, key := range keys {
		one, err := proto.Marshal(&queryresult.KV{Namespace: "", Key: key, Value: values[i]})
		if err != nil {
			return nil, err
		}
		found.Results = append(found.Results, &peer.QueryResultBytes{ResultBytes: one})
	}
	return proto.Marshal(found)
}

func (c *chaincode) close() {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.live != nil {
		_ = c.live.connection.Close() // `listen` sees it and ends
		c.live = nil
	}
}
