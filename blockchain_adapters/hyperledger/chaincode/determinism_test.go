package main

import (
	"crypto/sha256"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// lesson is what a peer signs of a call: whatever differs here between two endorsers makes the transaction invalid.
type lesson struct {
	Name           string
	Reads          map[string]bool
	Writes, Events map[string][]byte
	Answer         []byte
}

// lessons plays every function of the chaincode, accepted and refused, on one course of a channel.
func lessons(t *testing.T, who []byte) (found []lesson) {
	w := newWorld(t)
	play := func(name string, arguments ...[]byte) string {
		x, answer := w.invoke(who, name, arguments...)
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, lesson{name, x.reads, x.writes, x.events, raw})
		return x.tx
	}
	rules := `{"append":[{"msp":"Org1MSP","attribute":"b","value":"1"},{"msp":"Org2MSP"}],"admin":[{"msp":"Org1MSP"},{"msp":"Org2MSP"}]}`
	batch, another := sha256.Sum256([]byte("batch")), sha256.Sum256([]byte("another"))
	x := w.begin(who, []byte("Init"), []byte(rules))
	first, err := proto.MarshalOptions{Deterministic: true}.Marshal(chaincode{}.Init(x))
	if err != nil {
		t.Fatal(err)
	}
	x.commit()
	found = append(found, lesson{"Init", x.reads, x.writes, x.events, first})
	play("Configure", []byte(rules))
	var ids []string
	for range 7 {
		ids = append(ids, play("Append", []byte("batch")))
	}
	for size := range uint64(5) {
		play("Anchor", anchor(size, size, size+1, "batch", "note")...)
	}
	for _, id := range ids {
		play("Get", []byte(id))
	}
	play("Status")
	play("Read", []byte("0"), []byte("9"))
	play("Find", batch[:])
	play("Find", another[:])
	play("Anchor", anchor(3, 3, 4, "b", "note")...)
	play("Append")
	play("Configure", []byte(`{"append":[]}`))
	play("Get", []byte("none"))
	play("Read", []byte("9"), []byte("0"))
	play("Find", []byte("short"))
	play("Nothing")
	return found
}

func TestSameCallsOnSameStateReadWriteAnnounceAndAnswerTheSame(t *testing.T) {
	who := identity(t, "Org1MSP", map[string]string{"b": "1", "a": "2"})
	first := lessons(t, who)
	for range 20 {
		for i, one := range lessons(t, who) {
			if !reflect.DeepEqual(one, first[i]) {
				t.Fatalf("two endorsers of call %d, %s, would differ: %+v and %+v", i, one.Name, one, first[i])
			}
		}
	}
	for _, name := range functions(t) {
		if !slices.ContainsFunc(first, func(one lesson) bool { return one.Name == name }) {
			t.Errorf("%s is not played", name)
		}
	}
}

// source reads the chaincode as it is built: every file but the tests.
func source(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set, files := token.NewFileSet(), map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(set, name, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return set, files
}

// functions names what a client may call: the cases of the one switch in `calls`.
func functions(t *testing.T) (names []string) {
	t.Helper()
	_, files := source(t)
	ast.Inspect(files["chaincode.go"], func(node ast.Node) bool {
		if one, ok := node.(*ast.FuncDecl); ok {
			return one.Name.Name == "calls"
		}
		if one, ok := node.(*ast.CaseClause); ok {
			for _, value := range one.List {
				name, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
		}
		return true
	})
	if len(names) < 7 {
		t.Fatalf("found the functions %q only", names)
	}
	return names
}

// Nothing here knows the time, chance, the machine or another goroutine; `os` is for starting the service.
var imported = map[string][]string{
	"main.go": {"fmt", "os", "github.com/hyperledger/fabric-chaincode-go/v2/shim"},
	"": {
		"bytes", "crypto/sha256", "encoding/binary", "encoding/hex", "encoding/json", "fmt", "io", "strconv",
		"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid",
		"github.com/hyperledger/fabric-chaincode-go/v2/shim",
		"github.com/hyperledger/fabric-protos-go-apiv2/peer",
	},
}

func TestNothingIsImportedThatDiffersBetweenEndorsers(t *testing.T) {
	_, files := source(t)
	for name, file := range files {
		allowed, ok := imported[name]
		if !ok {
			allowed = imported[""]
		}
		for _, one := range file.Imports {
			path, err := strconv.Unquote(one.Path.Value)
			if err != nil || !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s: two endorsers may differ by it", name, one.Path.Value)
			}
		}
	}
}

// blank resolves every import to a package without members: what comes from one has no type that is known here.
type blank struct{}

func (blank) Import(path string) (*types.Package, error) {
	found := types.NewPackage(path, strings.TrimPrefix(path[strings.LastIndex(path, "/")+1:], "go-"))
	found.MarkComplete()
	return found, nil
}

// TestNoOrderIsLeftToChance refuses what Go orders at random, and what one call could leave to the next. A range is refused unless it is
// sure to be ordered: over a slice, an array, a text or a number whose type stands in the chaincode itself.
func TestNoOrderIsLeftToChance(t *testing.T) {
	set, files := source(t)
	known := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: blank{}, Error: func(error) {}} // all that is missing are the members of the imports
	var ordered []*ast.File
	for _, file := range files {
		ordered = append(ordered, file)
	}
	config.Check("chaincode", set, ordered, &known)
	ranges := 0
	for _, file := range files {
		for _, one := range file.Decls {
			if declared, ok := one.(*ast.GenDecl); ok && declared.Tok == token.VAR {
				t.Errorf("%s: state between calls", set.Position(declared.Pos()))
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch one := node.(type) {
			case *ast.GoStmt, *ast.SelectStmt:
				t.Errorf("%s: goroutines run in any order", set.Position(node.Pos()))
			case *ast.RangeStmt:
				ranges++
				if !isOrdered(known.Types[one.X].Type) {
					t.Errorf("%s: a range that may be over a map", set.Position(one.Pos()))
				}
			}
			return true
		})
	}
	if ranges == 0 {
		t.Error("no range was looked at")
	}
}

func isOrdered(ranged types.Type) bool {
	if ranged == nil {
		return false
	}
	switch one := ranged.Underlying().(type) {
	case *types.Slice, *types.Array:
		return true
	case *types.Basic:
		return one.Info()&(types.IsString|types.IsInteger) != 0
	}
	return false
}
