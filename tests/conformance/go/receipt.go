package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// checkReceipt verifies a tlog-proof whose extra line holds the entry.
func checkReceipt(o options) (string, error) {
	text, err := os.ReadFile(o.receipt)
	if err != nil {
		return "", err
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	if !found {
		return "", fmt.Errorf("no empty line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return "", fmt.Errorf("not a tlog-proof@v1 with an entry")
	}
	encoded, hasEntry := strings.CutPrefix(lines[1], "extra ")
	number, hasIndex := strings.CutPrefix(lines[2], "index ")
	if !hasEntry || !hasIndex {
		return "", fmt.Errorf("no extra line, or no index line after it")
	}
	entry, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", err
	}
	index, err := parseNumber(number)
	if err != nil {
		return "", err
	}
	proof := make(tlog.RecordProof, 0, len(lines)-3)
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return "", err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(checkpoint), o)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return "", err
	}
	return fmt.Sprintf("ok size=%d root=%v entry=%d", tree.N, tree.Hash, index), nil
}
