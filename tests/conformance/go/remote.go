package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	maxBody    = 32 << 20
)

// remote is a log behind a URL: a tlog.TileReader that believes nothing it reads.
type remote struct {
	base, token string
	client      *http.Client
}

func newRemote(o options) (*remote, error) {
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.caFile)
	}
	token := ""
	if o.tokenFile != "" {
		text, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, err
		}
		token = strings.TrimSpace(string(text))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return &remote{base: strings.TrimSuffix(o.url, "/"), token: token, client: client}, nil
}

func (r *remote) get(path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, r.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.200s", path, response.Status, body)
	}
	return body, nil
}

// path is C2SP's: without the height that go.sum's paths begin with, and entries/ for the records.
func path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	if records, found := strings.CutPrefix(rest, "data/"); found {
		return "tile/entries/" + records
	}
	return "tile/" + rest
}

func (r *remote) Height() int { return tileHeight }

func (r *remote) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *remote) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	bodies := make([][]byte, len(tiles))
	for i, tile := range tiles {
		body, err := r.get(path(tile))
		if err != nil {
			return nil, err
		}
		if len(body) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: %d bytes, expected %d", path(tile), len(body), tile.W*tlog.HashSize)
		}
		bodies[i] = body
	}
	return bodies, nil
}

func (r *remote) leafHashes(tile tlog.Tile) ([]tlog.Hash, error) {
	bodies, err := r.ReadTiles([]tlog.Tile{tile})
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, tile.W)
	for i := range hashes {
		copy(hashes[i][:], bodies[0][i*tlog.HashSize:])
	}
	return hashes, nil
}

// entry reads the bundle that holds an index, checks that it is framed to its last byte, and picks the entry.
func (r *remote) entry(index, size int64) ([]byte, error) {
	if index >= size {
		return nil, fmt.Errorf("the log has %d entries", size)
	}
	first := index >> tileHeight << tileHeight
	tile := tlog.Tile{H: tileHeight, L: -1, N: index >> tileHeight, W: int(min(1<<tileHeight, size-first))}
	rest, err := r.get(path(tile))
	if err != nil {
		return nil, err
	}
	var entry []byte
	for i := range int64(tile.W) {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("%s ends inside entry %d", path(tile), first+i)
		}
		length := int(binary.BigEndian.Uint16(rest))
		if first+i == index {
			entry = rest[2 : 2+length]
		}
		rest = rest[2+length:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%s has %d bytes after its last entry", path(tile), len(rest))
	}
	return entry, nil
}

// memory holds hashes by tlog's stored index.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m)) {
			return nil, fmt.Errorf("no hash is stored at %d", index)
		}
		hashes[i] = m[index]
	}
	return hashes, nil
}

func parseNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || strconv.FormatInt(number, 10) != text {
		return 0, fmt.Errorf("%q is no number in its shortest form", text)
	}
	return number, nil
}
