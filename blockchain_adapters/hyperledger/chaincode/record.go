package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

const (
	format     = 1
	kindAppend = 0
	kindAnchor = 1

	// receiptBytes is a record up to its head: what a call answers. More would stand in the block once again.
	receiptBytes = 2 + 8 + 8 + sha256.Size + 8 + sha256.Size
)

type hash = [sha256.Size]byte

// record is one batch as the state and the event hold it; README.md gives the bytes.
type record struct {
	Kind        byte
	Start, Size uint64
	Root        hash
	Number      uint64
	Head        hash
	MSP         string
	Certificate hash
	Batch, Note []byte
}

func (r *record) bytes() []byte {
	raw := make([]byte, 0, 160+len(r.MSP)+len(r.Batch)+len(r.Note))
	raw = append(raw, format, r.Kind)
	raw = binary.BigEndian.AppendUint64(raw, r.Start)
	raw = binary.BigEndian.AppendUint64(raw, r.Size)
	raw = append(raw, r.Root[:]...)
	raw = binary.BigEndian.AppendUint64(raw, r.Number)
	raw = append(raw, r.Head[:]...)
	raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(r.MSP))), r.MSP...)
	raw = append(raw, r.Certificate[:]...)
	raw = append(binary.BigEndian.AppendUint32(raw, uint32(len(r.Batch))), r.Batch...)
	return append(binary.BigEndian.AppendUint32(raw, uint32(len(r.Note))), r.Note...)
}

// frame writes one record of an answer that may hold several.
func frame(into *bytes.Buffer, tx string, raw []byte) {
	into.WriteString(tx)
	into.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw))))
	into.Write(raw)
}

// head is where the anchors end. It is the one key that every anchor reads and writes: of two in one block one fails.
type head struct {
	Anchors, Size uint64
	Root, Head    hash
}

const headBytes = 8 + 8 + 2*sha256.Size

func (h head) bytes() []byte {
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, headBytes), h.Anchors)
	raw = binary.BigEndian.AppendUint64(raw, h.Size)
	return append(append(raw, h.Root[:]...), h.Head[:]...)
}

func readHead(stub shim.ChaincodeStubInterface) (head, error) {
	raw, err := stub.GetState(headKey)
	if err != nil {
		return head{}, stateError(err)
	}
	if len(raw) == 0 {
		return head{Head: sha256.Sum256([]byte(stub.GetChannelID()))}, nil
	}
	if len(raw) != headBytes {
		return head{}, refuse("STATE", "the head has %d bytes, not %d", len(raw), headBytes)
	}
	found := head{Anchors: binary.BigEndian.Uint64(raw), Size: binary.BigEndian.Uint64(raw[8:])}
	copy(found.Root[:], raw[16:])
	copy(found.Head[:], raw[16+sha256.Size:])
	return found, nil
}

// after returns the hash over all anchors with `r` as the next.
func (h head) after(r *record) hash {
	msp, batch, note := sha256.Sum256([]byte(r.MSP)), sha256.Sum256(r.Batch), sha256.Sum256(r.Note)
	raw := append([]byte{}, h.Head[:]...)
	for _, one := range []uint64{h.Anchors, r.Start, r.Size} {
		raw = binary.BigEndian.AppendUint64(raw, one)
	}
	for _, one := range [][]byte{r.Root[:], msp[:], r.Certificate[:], batch[:], note[:]} {
		raw = append(raw, one...)
	}
	return sha256.Sum256(raw)
}
