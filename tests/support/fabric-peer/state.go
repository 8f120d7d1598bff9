package main

import (
	"slices"
	"sort"

	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// version is where a value was written.
type version struct{ block, tx uint64 }

type value struct {
	bytes []byte
	at    version
}

// state is the keys of one chaincode, each with its version. The ledger's lock guards it.
type state struct {
	values map[string]value
	keys   []string // ascending
}

func newState() *state { return &state{values: map[string]value{}} }

func (s *state) put(key string, bytes []byte, at version) {
	if _, there := s.values[key]; !there {
		place, _ := slices.BinarySearch(s.keys, key)
		s.keys = slices.Insert(s.keys, place, key)
	}
	s.values[key] = value{bytes, at}
}

func (s *state) delete(key string) {
	if place, there := slices.BinarySearch(s.keys, key); there {
		s.keys = slices.Delete(s.keys, place, place+1)
		delete(s.values, key)
	}
}

// between returns the keys from `first` to before `last`, all of them when `last` is empty.
func (s *state) between(first, last string) []string {
	begin, end := sort.SearchStrings(s.keys, first), len(s.keys)
	if last != "" {
		end = sort.SearchStrings(s.keys, last)
	}
	if begin >= end {
		return nil
	}
	return append([]string{}, s.keys[begin:end]...)
}

// simulation is what one call read and wrote. Reads come from the state as committed: a call does not see its own writes.
type simulation struct {
	ledger *ledger
	reads  map[string]*kvrwset.Version
	writes map[string]*kvrwset.KVWrite
	ranges []*kvrwset.RangeQueryInfo
}

func (l *ledger) simulate() *simulation {
	return &simulation{ledger: l, reads: map[string]*kvrwset.Version{}, writes: map[string]*kvrwset.KVWrite{}}
}

func (s *simulation) get(key string) []byte {
	s.ledger.lock.Lock()
	defer s.ledger.lock.Unlock()
	found, there := s.ledger.state.values[key]
	if _, known := s.reads[key]; !known {
		s.reads[key] = nil
		if there {
			s.reads[key] = &kvrwset.Version{BlockNum: found.at.block, TxNum: found.at.tx}
		}
	}
	return found.bytes
}

func (s *simulation) put(key string, bytes []byte) {
	s.writes[key] = &kvrwset.KVWrite{Key: key, Value: bytes}
}

func (s *simulation) delete(key string) { s.writes[key] = &kvrwset.KVWrite{Key: key, IsDelete: true} }

// cursor is a range as far as it was handed over.
type cursor struct {
	query *kvrwset.RangeQueryInfo
	raw   *kvrwset.QueryReads
	keys  []string
	last  string
}

func (s *simulation) open(first, last string) *cursor {
	s.ledger.lock.Lock()
	defer s.ledger.lock.Unlock()
	raw := &kvrwset.QueryReads{}
	query := &kvrwset.RangeQueryInfo{StartKey: first, EndKey: first, ReadsInfo: &kvrwset.RangeQueryInfo_RawReads{RawReads: raw}}
	s.ranges = append(s.ranges, query)
	return &cursor{query, raw, s.ledger.state.between(first, last), last}
}

// next hands over up to `most` of what is left, as it stands now.
func (s *simulation) next(c *cursor, most int) (keys []string, values [][]byte) {
	s.ledger.lock.Lock()
	defer s.ledger.lock.Unlock()
	for len(c.keys) > 0 && len(keys) < most {
		key := c.keys[0]
		c.keys = c.keys[1:]
		found, there := s.ledger.state.values[key]
		if !there {
			continue
		}
		keys, values = append(keys, key), append(values, found.bytes)
		c.raw.KvReads = append(c.raw.KvReads, &kvrwset.KVRead{Key: key, Version: &kvrwset.Version{BlockNum: found.at.block, TxNum: found.at.tx}})
		c.query.EndKey = key + "\x00"
	}
	if len(c.keys) == 0 {
		c.query.ItrExhausted, c.query.EndKey = true, c.last
	}
	return keys, values
}

// results returns the read and write set, in the order of keys: every endorser must come to the same bytes.
func (s *simulation) results(chaincode string) ([]byte, error) {
	set := &kvrwset.KVRWSet{RangeQueriesInfo: s.ranges}
	for _, key := range sorted(s.reads) {
		set.Reads = append(set.Reads, &kvrwset.KVRead{Key: key, Version: s.reads[key]})
	}
	for _, key := range sorted(s.writes) {
		set.Writes = append(set.Writes, s.writes[key])
	}
	raw, err := proto.Marshal(set)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: chaincode, Rwset: raw}}})
}

func sorted[V any](of map[string]V) []string {
	keys := make([]string, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func parseResults(raw []byte) (*kvrwset.KVRWSet, error) {
	var outer rwset.TxReadWriteSet
	if err := proto.Unmarshal(raw, &outer); err != nil {
		return nil, err
	}
	found := &kvrwset.KVRWSet{}
	for _, one := range outer.GetNsRwset() {
		if err := proto.Unmarshal(one.GetRwset(), found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// check compares what a transaction read with the state that it would be applied to, earlier ones of its block included.
func (s *state) check(set *kvrwset.KVRWSet) peer.TxValidationCode {
	for _, read := range set.GetReads() {
		found, there := s.values[read.GetKey()]
		if there != (read.GetVersion() != nil) || there && !found.at.is(read.GetVersion()) {
			return peer.TxValidationCode_MVCC_READ_CONFLICT
		}
	}
	for _, query := range set.GetRangeQueriesInfo() {
		keys, reads := s.between(query.GetStartKey(), query.GetEndKey()), query.GetRawReads().GetKvReads()
		if len(keys) != len(reads) {
			return peer.TxValidationCode_PHANTOM_READ_CONFLICT
		}
		for i, key := range keys {
			if key != reads[i].GetKey() || !s.values[key].at.is(reads[i].GetVersion()) {
				return peer.TxValidationCode_PHANTOM_READ_CONFLICT
			}
		}
	}
	return peer.TxValidationCode_VALID
}

func (v version) is(other *kvrwset.Version) bool {
	return v.block == other.GetBlockNum() && v.tx == other.GetTxNum()
}

func (s *state) apply(set *kvrwset.KVRWSet, at version) {
	for _, write := range set.GetWrites() {
		if write.GetIsDelete() {
			s.delete(write.GetKey())
		} else {
			s.put(write.GetKey(), write.GetValue(), at)
		}
	}
}
