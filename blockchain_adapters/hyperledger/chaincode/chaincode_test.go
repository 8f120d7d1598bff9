package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
)

const open = `{"append":[{"msp":"Org1MSP"}],"admin":[{"msp":"Org1MSP"}]}`

var root = bytes.Repeat([]byte{7}, 32)

func opened(t *testing.T) (*world, []byte) {
	w, who := newWorld(t), identity(t, "Org1MSP", nil)
	w.must(who, "Configure", []byte(open))
	return w, who
}

func anchor(expected, start, size uint64, batch, note string) [][]byte {
	text := func(n uint64) []byte { return fmt.Append(nil, n) }
	return [][]byte{text(expected), text(start), text(size), root, []byte(batch), []byte(note)}
}

func TestAppendReadsAndWritesNoKeyThatAnotherAppendWrites(t *testing.T) {
	w, who := opened(t)
	one, _ := w.must(who, "Append", []byte("batch"))
	other, _ := w.must(who, "Append", []byte("batch"))
	for key := range one.writes {
		if _, both := other.writes[key]; both || other.reads[key] {
			t.Errorf("both appends use %q", key)
		}
	}
	if !reflect.DeepEqual(other.reads, map[string]bool{policyKey: true}) {
		t.Errorf("an append reads %v", other.reads)
	}
}

func TestAppendedRecordIsEventAnswerAndState(t *testing.T) {
	w, who := opened(t)
	x, answer := w.must(who, "Append", []byte("batch"))
	record := x.events[event]
	if !bytes.Equal(answer, record[:90]) || !bytes.Equal(record, w.state[recordKey(x.tx)]) || len(x.events) != 1 {
		t.Error("the record differs between answer, event and state")
	}
	_, found := w.must(who, "Get", []byte(x.tx))
	if want := append(append([]byte(x.tx), binary.BigEndian.AppendUint32(nil, uint32(len(record)))...), record...); !bytes.Equal(found, want) {
		t.Error("Get does not frame the record")
	}
	if record[0] != format || record[1] != kindAppend || !bytes.HasSuffix(record, []byte("\x00\x00\x00\x05batch\x00\x00\x00\x00")) {
		t.Errorf("record %x", record)
	}
}

func TestRecordBytesAreFixed(t *testing.T) {
	one := record{Kind: kindAnchor, Start: 1, Size: 2, Root: hash{3}, Number: 4, Head: hash{5}, MSP: "Org1MSP", Certificate: hash{6}, Batch: []byte("b"), Note: []byte("n")}
	sum := sha256.Sum256(one.bytes())
	if got := fmt.Sprintf("%x", sum[:8]); got != "577e506158f974f4" {
		t.Errorf("the record's bytes changed: %s", got)
	}
	next := head{Anchors: 4, Size: 1, Root: hash{9}, Head: hash{8}}.after(&one)
	if got := fmt.Sprintf("%x", next[:8]); got != "161040209079e4e4" {
		t.Errorf("the head's bytes changed: %s", got)
	}
}

func TestAnchorComparesTheSize(t *testing.T) {
	w, who := opened(t)
	w.refused("SIZE_MISMATCH", who, "Anchor", anchor(1, 0, 10, "b", "note")...)
	w.must(who, "Anchor", anchor(0, 0, 10, "b", "note")...)
	w.refused("SIZE_MISMATCH", who, "Anchor", anchor(0, 0, 10, "b", "note")...)
	w.must(who, "Anchor", anchor(10, 10, 10, "", "idle")...)
	x, answer := w.must(who, "Anchor", anchor(10, 10, 20, "c", "note")...)
	if !x.reads[headKey] || x.writes[headKey] == nil {
		t.Error("an anchor does not hold the head: two in one block would both be valid")
	}
	var found standing
	_, text := w.must(who, "Status")
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	if found.Anchors != 3 || found.Size != 20 || found.Head != fmt.Sprintf("%x", answer[58:90]) || found.Policy == nil {
		t.Errorf("status %s", text)
	}
}

func TestAppendLeavesTheAnchorsAlone(t *testing.T) {
	w, who := opened(t)
	w.must(who, "Anchor", anchor(0, 0, 10, "b", "note")...)
	w.must(who, "Append", []byte("direct"))
	w.must(who, "Anchor", anchor(10, 10, 20, "c", "note")...)
}

func TestReadReturnsAnchorsByNumberAndBoundsTheAnswer(t *testing.T) {
	w, who := opened(t)
	large := strings.Repeat("x", maxBatch)
	for i := uint64(0); i < 4; i++ {
		w.must(who, "Anchor", anchor(i, i, i+1, large, "note")...)
	}
	for _, c := range []struct {
		first, last string
		want        int
	}{{"0", "1", 1}, {"1", "1", 0}, {"0", "4", 1}, {"3", "18446744073709551615", 1}, {"4", "9", 0}} {
		_, found := w.must(who, "Read", []byte(c.first), []byte(c.last))
		if got := len(frames(t, found)); got != c.want {
			t.Errorf("Read(%s, %s) gives %d records, not %d", c.first, c.last, got, c.want)
		}
	}
	for i := uint64(4); i < maxRecords+10; i++ {
		w.must(who, "Anchor", anchor(i, i, i+1, "s", "note")...)
	}
	_, found := w.must(who, "Read", []byte("4"), []byte(fmt.Sprint(uint64(math.MaxUint64))))
	if got := len(frames(t, found)); got != maxRecords {
		t.Errorf("%d records", got)
	}
}

func frames(t *testing.T, raw []byte) (found [][]byte) {
	t.Helper()
	for len(raw) > 0 {
		size := int(binary.BigEndian.Uint32(raw[64:]))
		found, raw = append(found, raw[68:68+size]), raw[68+size:]
	}
	return found
}

func TestFindNamesTheTransactionsOfADigest(t *testing.T) {
	w, who := opened(t)
	sum := sha256.Sum256([]byte("batch"))
	if _, none := w.must(who, "Find", sum[:]); string(none) != "[]" {
		t.Errorf("nothing is found as %s", none)
	}
	one, _ := w.must(who, "Append", []byte("batch"))
	w.must(who, "Append", []byte("another"))
	two, _ := w.must(who, "Anchor", anchor(0, 0, 1, "batch", "note")...)
	_, found := w.must(who, "Find", sum[:])
	var ids []string
	if err := json.Unmarshal(found, &ids); err != nil || !slices.Equal(ids, slices.Sorted(slices.Values([]string{one.tx, two.tx}))) {
		t.Errorf("found %s", found)
	}
}

func TestPolicyDecidesByMspAndAttribute(t *testing.T) {
	w := newWorld(t)
	admin := identity(t, "Org1MSP", map[string]string{"role": "admin"})
	plain, other := identity(t, "Org1MSP", nil), identity(t, "Org2MSP", nil)
	writer, wrong := identity(t, "Org2MSP", map[string]string{"write": "yes"}), identity(t, "Org2MSP", map[string]string{"write": "no"})
	w.refused("NOT_ALLOWED", plain, "Append", []byte("b"))
	w.must(admin, "Configure", []byte(`{"append":[{"msp":"Org1MSP"},{"msp":"Org2MSP","attribute":"write","value":"yes"}],"admin":[{"msp":"Org1MSP","attribute":"role","value":"admin"}]}`))
	w.must(plain, "Append", []byte("b"))
	w.must(writer, "Append", []byte("b"))
	w.refused("NOT_ALLOWED", other, "Append", []byte("b"))
	w.refused("NOT_ALLOWED", wrong, "Anchor", anchor(0, 0, 1, "b", "n")...)
	w.refused("NOT_ALLOWED", []byte("junk"), "Append", []byte("b"))
	w.refused("NOT_ALLOWED", plain, "Configure", []byte(open))
	w.must(admin, "Configure", []byte(open))
	w.refused("NOT_ALLOWED", writer, "Append", []byte("b"))
}

func TestInitSetsThePolicyOnce(t *testing.T) {
	w, who := newWorld(t), identity(t, "Org1MSP", nil)
	for _, c := range []struct {
		who    []byte
		status int32
	}{{who, shim.OK}, {identity(t, "Org2MSP", nil), shim.ERROR}} {
		x := w.begin(c.who, []byte("Init"), []byte(open))
		answer := chaincode{}.Init(x)
		if answer.Status != c.status {
			t.Errorf("Init: %d %s", answer.Status, answer.Message)
		}
		x.commit()
	}
	if answer := (chaincode{}).Init(w.begin(who)); answer.Status != shim.OK {
		t.Errorf("Init without arguments: %s", answer.Message)
	}
}

func TestHostileArgumentsAreRefused(t *testing.T) {
	w, who := opened(t)
	nothing := w.begin(who)
	if answer := (chaincode{}).Invoke(nothing); answer.Status != shim.ERROR {
		t.Error("a call without a function")
	}
	w.refused("BAD_CALL", who, "append", []byte("b"))
	w.refused("BAD_CALL", who, strings.Repeat("\xff", 1<<20))
	w.refused("BAD_CALL", who, "Append")
	w.refused("BAD_CALL", who, "Append", []byte("b"), []byte("c"))
	w.refused("EMPTY", who, "Append", nil)
	w.refused("TOO_LARGE", who, "Append", make([]byte, maxBatch+1))
	w.must(who, "Append", make([]byte, maxBatch))
	w.refused("EMPTY", who, "Anchor", anchor(0, 0, 1, "b", "")...)
	w.refused("TOO_LARGE", who, "Anchor", anchor(0, 0, 1, "b", strings.Repeat("n", maxNote+1))...)
	for _, bad := range []string{"", "-1", "+1", "01", "1 ", "0x1", "1e3", "18446744073709551616", "١", "\x00"} {
		for place := range 3 {
			arguments := anchor(0, 0, 1, "b", "note")
			arguments[place] = []byte(bad)
			w.refused("BAD_ARGUMENT", who, "Anchor", arguments...)
		}
		w.refused("BAD_ARGUMENT", who, "Read", []byte(bad), []byte("9"))
	}
	short := anchor(0, 0, 1, "b", "note")
	short[3] = root[:31]
	w.refused("BAD_ARGUMENT", who, "Anchor", short...)
	w.refused("BAD_ARGUMENT", who, "Read", []byte("2"), []byte("1"))
	w.refused("BAD_ARGUMENT", who, "Find", []byte("short"))
	w.refused("BAD_ARGUMENT", who, "Get", []byte(strings.Repeat("A", 64)))
	w.refused("BAD_ARGUMENT", who, "Get", []byte("head"))
	w.refused("NOT_FOUND", who, "Get", []byte(strings.Repeat("a", 64)))
	w.refused("TOO_LARGE", who, "Configure", make([]byte, maxPolicy+1))
	for _, bad := range []string{
		"", "null", "{}", "[]", open + "{}", `{"append":[],"admin":[{"msp":"A"}]}`, `{"append":[{"msp":""}],"admin":[{"msp":"A"}]}`,
		`{"append":[{"msp":"A"}],"admin":[{"msp":"A"}],"more":1}`, `{"append":[{"msp":"A","value":"x"}],"admin":[{"msp":"A"}]}`,
		`{"append":[{"msp":"A"}],"admin":[` + strings.Repeat(`{"msp":"A"},`, maxRules) + `{"msp":"A"}]}`,
	} {
		w.refused("BAD_ARGUMENT", who, "Configure", []byte(bad))
	}
}

func TestAPeerThatFailsToReadIsSaidToFail(t *testing.T) {
	w, who := opened(t)
	for _, arguments := range [][][]byte{
		{[]byte("Append"), []byte("b")}, {[]byte("Status")}, {[]byte("Read"), []byte("0"), []byte("1")}, {[]byte("Find"), root},
	} {
		x := w.begin(who, arguments...)
		x.broken = true
		if answer := (chaincode{}).Invoke(x); answer.Status != shim.ERROR || !strings.HasPrefix(answer.Message, "STATE: ") {
			t.Errorf("%s answers %d %s", arguments[0], answer.Status, answer.Message)
		}
	}
}

func FuzzInvoke(f *testing.F) {
	f.Add("Append", []byte("b"), []byte{}, uint8(1))
	f.Add("Anchor", []byte("1"), root, uint8(6))
	f.Add("Configure", []byte(open), []byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, name string, one, other []byte, count uint8) {
		w, who := opened(t)
		arguments := make([][]byte, count%8)
		for i := range arguments {
			arguments[i] = [][]byte{one, other}[i%2]
		}
		if _, answer := w.invoke(who, name, arguments...); answer.Status != shim.OK && !strings.Contains(answer.Message, ": ") {
			t.Errorf("%q", answer.Message)
		}
	})
}
