package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// journal is a file of records that are on disk when `write` returns: length, checksum, bytes.
type journal struct {
	lock sync.Mutex
	file *os.File
}

const journalHead = 8

// openJournal returns the whole records; what a crash left half written is cut off.
func openJournal(path string) (*journal, [][]byte, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	var records [][]byte
	var end int64
	reader := bufio.NewReader(file)
	for {
		raw, err := readRecord(reader)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		records, end = append(records, raw), end+journalHead+int64(len(raw))
	}
	if err := file.Truncate(end); err != nil {
		return nil, nil, err
	}
	_, err = file.Seek(end, io.SeekStart)
	return &journal{file: file}, records, err
}

func readRecord(from io.Reader) ([]byte, error) {
	var head [journalHead]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	var raw []byte
	raw, err := io.ReadAll(io.LimitReader(from, int64(binary.BigEndian.Uint32(head[:]))))
	if err != nil {
		return nil, err
	}
	if len(raw) != int(binary.BigEndian.Uint32(head[:])) || crc32.ChecksumIEEE(raw) != binary.BigEndian.Uint32(head[4:]) {
		return nil, io.ErrUnexpectedEOF
	}
	return raw, nil
}

func (j *journal) write(raw []byte) error {
	j.lock.Lock()
	defer j.lock.Unlock()
	whole := binary.BigEndian.AppendUint32(make([]byte, 0, journalHead+len(raw)), uint32(len(raw)))
	whole = append(binary.BigEndian.AppendUint32(whole, crc32.ChecksumIEEE(raw)), raw...)
	if _, err := j.file.Write(whole); err != nil {
		return err
	}
	return j.file.Sync()
}

// clear empties the journal.
func (j *journal) clear() error {
	j.lock.Lock()
	defer j.lock.Unlock()
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	_, err := j.file.Seek(0, io.SeekStart)
	return err
}

func (j *journal) close() error { return j.file.Close() }
