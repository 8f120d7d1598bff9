// Command checklog reads a live log over HTTPS and checks it with golang.org/x/mod alone.
//
// It fetches the checkpoint, verifies the signed note, recomputes the root hash from the
// leaf hashes of every tile of level 0, and then proves, through tlog's own authenticated
// tile reader, that one entry is in the log and that a smaller tree is a prefix of it.
// With -clock-vkey the note must also carry a good line of that cosignature/v1 key, as
// transparency-dev's formats read it. With -receipt it checks a tlog-proof file instead,
// without a network.
//
// It prints one line and exits 0 when all of it holds; else it says what failed and exits 1.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type options struct {
	url, vkey, clockVkey, caFile, tokenFile, receipt string
	index, oldSize                                   int64
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "", "base `URL` of the log")
	flag.StringVar(&o.vkey, "vkey", "", "verifier `key` of the log")
	flag.StringVar(&o.clockVkey, "clock-vkey", "", "verifier `key` of the log's clock")
	flag.StringVar(&o.caFile, "ca", "", "PEM `file` of the only CA to trust")
	flag.StringVar(&o.tokenFile, "token-file", "", "`file` that holds a bearer token")
	flag.StringVar(&o.receipt, "receipt", "", "check this tlog-proof `file` instead of a live log")
	flag.Int64Var(&o.index, "index", -1, "entry to prove (default: the middle one)")
	flag.Int64Var(&o.oldSize, "old-size", -1, "smaller tree to prove (default: two thirds)")
	flag.Parse()
	check := checkLog
	if o.receipt != "" {
		check = checkReceipt
	}
	line, err := check(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "checklog:", err)
		os.Exit(1)
	}
	fmt.Println(line)
}

func checkLog(o options) (string, error) {
	log, err := newRemote(o)
	if err != nil {
		return "", err
	}
	text, err := log.get("checkpoint")
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(text, o)
	if err != nil {
		return "", err
	}
	if tree.N == 0 {
		return "", fmt.Errorf("the log is empty")
	}
	if err := checkRoot(tree, log); err != nil {
		return "", err
	}
	if o.index < 0 {
		o.index = tree.N / 2
	}
	if o.oldSize < 0 {
		o.oldSize = max(1, tree.N*2/3)
	}
	if err := checkEntry(tree, o.index, log); err != nil {
		return "", fmt.Errorf("entry %d: %w", o.index, err)
	}
	if err := checkPrefix(tree, o.oldSize, log); err != nil {
		return "", fmt.Errorf("tree of size %d: %w", o.oldSize, err)
	}
	return fmt.Sprintf("ok size=%d root=%v entry=%d prefix=%d", tree.N, tree.Hash, o.index, o.oldSize), nil
}

// openCheckpoint verifies the note and reads its three lines: tlog.ParseTree knows only go.sum's origin.
func openCheckpoint(text []byte, o options) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(o.vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	wanted := []note.Verifier{verifier}
	if o.clockVkey != "" {
		clock, err := cosignature.NewVerifierForCosignatureV1(o.clockVkey)
		if err != nil {
			return tlog.Tree{}, err
		}
		wanted = append(wanted, clock)
	}
	signed, err := note.Open(text, note.VerifierList(wanted...))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(signed.Sigs) != len(wanted) {
		return tlog.Tree{}, fmt.Errorf("the note has good lines of %d of %d keys", len(signed.Sigs), len(wanted))
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("the checkpoint has not exactly three lines")
	}
	if lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("origin %q, expected %q", lines[0], verifier.Name())
	}
	size, err := parseNumber(lines[1])
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkRoot recomputes the root hash from leaf hashes only, so no tile above level 0 has a say.
func checkRoot(tree tlog.Tree, log *remote) error {
	var stored memory
	for start := int64(0); start < tree.N; start += 1 << tileHeight {
		tile := tlog.Tile{H: tileHeight, L: 0, N: start >> tileHeight, W: int(min(1<<tileHeight, tree.N-start))}
		hashes, err := log.leafHashes(tile)
		if err != nil {
			return err
		}
		for i, hash := range hashes {
			fresh, err := tlog.StoredHashesForRecordHash(start+int64(i), hash, stored)
			if err != nil {
				return err
			}
			stored = append(stored, fresh...)
		}
	}
	root, err := tlog.TreeHash(tree.N, stored)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the leaf hashes make the root %v, the checkpoint says %v", root, tree.Hash)
	}
	return nil
}

func checkEntry(tree tlog.Tree, index int64, log *remote) error {
	entry, err := log.entry(index, tree.N)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(tree.N, index, tlog.TileHashReader(tree, log))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func checkPrefix(tree tlog.Tree, size int64, log *remote) error {
	reader := tlog.TileHashReader(tree, log)
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, size, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, size, root)
}
