// Command watch holds many followers of a master's feed open over TLS 1.3, and tells when a publish has reached the last.
//
// It is told what to do by lines on its input and answers each with one JSON line:
//
//	open N     open followers until there are N: how many stand, and in how many seconds
//	publish    publish the next entry: milliseconds until it was answered, until half of the followers have it, until the last has
//	wait SIZE  wait until every follower has the head of that size or a larger one: how many milliseconds that took
//	count      how many followers stand
//
// It ends with its input. Publishing and following are one process, so that one clock measures both.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience   = 5 * time.Minute
	handshakes = 16 // at a time
	addresses  = 8  // of the loopback that connections come from, so that no address runs out of ports
)

type follower struct {
	size    atomic.Int64
	reached atomic.Int64 // when it had `size`, in nanoseconds since the start
}

type watch struct {
	host, token, url string
	config           *tls.Config
	client           *http.Client
	entries          [][]byte
	start            time.Time
	followers        []*follower
	open             atomic.Int64
}

func main() {
	address := flag.String("url", "", "`URL` of the master")
	caFile := flag.String("ca", "", "PEM `file` of the only CA to trust")
	tokenFile := flag.String("token-file", "", "`file` that holds a bearer token")
	entriesFile := flag.String("entries", "", "`file` of entries to publish, each after its length in two bytes")
	flag.Parse()
	w, err := newWatch(*address, *caFile, *tokenFile, *entriesFile)
	if err == nil {
		err = w.obey(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(1)
	}
}

func newWatch(address, caFile, tokenFile, entriesFile string) (*watch, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, err
	}
	framed, err := os.ReadFile(entriesFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, ServerName: parsed.Hostname()}
	return &watch{
		host:    parsed.Host,
		token:   strings.TrimSpace(string(token)),
		url:     strings.TrimSuffix(address, "/"),
		config:  config,
		client:  &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), MaxConnsPerHost: 1}, Timeout: patience},
		entries: unframe(framed),
		start:   time.Now(),
	}, nil
}

func unframe(rest []byte) [][]byte {
	var entries [][]byte
	for len(rest) > 2 {
		end := min(2+int(binary.BigEndian.Uint16(rest)), len(rest))
		entries = append(entries, rest[2:end])
		rest = rest[end:]
	}
	return entries
}

func (w *watch) obey(commands io.Reader, answers io.Writer) error {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.Atoi(rest)
		var answer any
		var err error
		switch word {
		case "open":
			answer, err = w.grow(number)
		case "publish":
			answer, err = w.publish()
		case "wait":
			answer, err = w.wait(int64(number))
		case "count":
			answer = map[string]any{"open": w.open.Load()}
		default:
			err = fmt.Errorf("there is no command %q", word)
		}
		if err == nil {
			err = json.NewEncoder(answers).Encode(answer)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// grow opens followers, some handshakes at a time, until there are `wanted` and each has its first head.
func (w *watch) grow(wanted int) (any, error) {
	begin := time.Now()
	failures := make(chan error, wanted)
	turns := make(chan struct{}, handshakes)
	var dialling sync.WaitGroup
	for number := len(w.followers); number < wanted; number++ {
		f := &follower{}
		w.followers = append(w.followers, f)
		turns <- struct{}{}
		dialling.Go(func() {
			if err := w.dial(f, number); err != nil {
				failures <- fmt.Errorf("follower %d: %w", number, err)
			}
			<-turns
		})
	}
	dialling.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return nil, err
	}
	if _, err := w.wait(1); err != nil {
		return nil, err
	}
	return map[string]any{"open": w.open.Load(), "seconds": time.Since(begin).Seconds()}, nil
}

func (w *watch) dial(f *follower, number int) error {
	dialer := &net.Dialer{Timeout: patience}
	if strings.HasPrefix(w.host, "127.") {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+number%addresses))}
	}
	conn, err := tls.DialWithDialer(dialer, "tcp", w.host, w.config)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "GET /v1/watch HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", w.host, w.token)
	if err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, 512)
	status, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		return fmt.Errorf("answered %q", strings.TrimSpace(status))
	}
	w.open.Add(1)
	go func() {
		defer w.open.Add(-1)
		defer conn.Close()
		w.follow(f, reader)
	}()
	return nil
}

// follow reads events until the stream ends, and keeps the size of the newest head.
func (w *watch) follow(f *follower, reader *bufio.Reader) {
	var id int64
	whole := true
	for {
		line, err := reader.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			whole = false
			continue
		}
		if err != nil {
			return
		}
		if whole && bytes.HasPrefix(line, []byte("id: ")) {
			id, _ = strconv.ParseInt(string(bytes.TrimSpace(line[4:])), 10, 64)
		} else if whole && bytes.Equal(line, []byte("event: head\n")) {
			f.reached.Store(int64(time.Since(w.start)))
			f.size.Store(id)
		}
		whole = true
	}
}

// wait returns when every follower has a head of at least `size`.
func (w *watch) wait(size int64) (any, error) {
	begin := time.Now()
	for slices.ContainsFunc(w.followers, func(f *follower) bool { return f.size.Load() < size }) {
		if time.Since(begin) > patience {
			return nil, fmt.Errorf("not every follower has the head of size %d", size)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return map[string]any{"ms": milliseconds(time.Since(begin))}, nil
}

func (w *watch) publish() (any, error) {
	if len(w.entries) == 0 {
		return nil, fmt.Errorf("no entries are left")
	}
	entry := w.entries[0]
	w.entries = w.entries[1:]
	request, err := http.NewRequest(http.MethodPost, w.url+"/v1/entries", bytes.NewReader(entry))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	request.Header.Set("Content-Type", "application/vnd.dsse.envelope.v1+json")
	begin := time.Since(w.start)
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var placed struct{ Index int64 }
	if err := json.NewDecoder(response.Body).Decode(&placed); err != nil || response.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("publishing was answered %s (%v)", response.Status, err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	answered := time.Since(w.start)
	if _, err := w.wait(placed.Index + 1); err != nil {
		return nil, err
	}
	times := make([]int64, len(w.followers))
	for i, f := range w.followers {
		times[i] = f.reached.Load()
	}
	slices.Sort(times)
	half, last := time.Duration(times[len(times)/2]), time.Duration(times[len(times)-1])
	return map[string]any{
		"index":       placed.Index,
		"answered_ms": milliseconds(answered - begin),
		"half_ms":     milliseconds(half - begin),
		"last_ms":     milliseconds(last - begin),
	}, nil
}

func milliseconds(span time.Duration) float64 { return float64(span.Microseconds()) / 1000 }
