package main

import (
	"context"
	"log"
	"path/filepath"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// ordering puts transactions into blocks, in the order in which they came. What it took is on disk before it says so.
type ordering struct {
	*node
	most    int
	timeout time.Duration

	lock    sync.Mutex
	waiting []*transaction
	taken   *journal
	woken   chan struct{}
}

func openOrdering(dir string, n *node, most int, timeout time.Duration) (*ordering, error) {
	taken, records, err := openJournal(filepath.Join(dir, "taken"))
	if err != nil {
		return nil, err
	}
	o := &ordering{node: n, most: most, timeout: timeout, taken: taken, woken: make(chan struct{}, 1)}
	for _, raw := range records {
		one, err := parseTransaction(raw)
		if err != nil {
			return nil, err
		}
		if _, committed, _ := n.ledger.find(one.id); !committed {
			o.waiting = append(o.waiting, one)
		}
	}
	o.wake()
	return o, nil
}

func (o *ordering) wake() {
	select {
	case o.woken <- struct{}{}:
	default:
	}
}

// take accepts a transaction for the next block.
func (o *ordering) take(one *transaction) error {
	o.lock.Lock()
	defer o.lock.Unlock()
	if err := o.taken.write(one.raw); err != nil {
		return err
	}
	o.waiting = append(o.waiting, one)
	o.wake()
	return nil
}

// run cuts blocks until the context ends.
func (o *ordering) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.woken:
		}
		for o.length() > 0 {
			if !o.gather(ctx) || !o.faults.delay(ctx, "order") {
				return
			}
			if err := o.cut(); err != nil {
				log.Fatalf("no block can be written: %v", err)
			}
		}
	}
}

func (o *ordering) length() int {
	o.lock.Lock()
	defer o.lock.Unlock()
	return len(o.waiting)
}

// gather waits until the block is full, or was waited for long enough.
func (o *ordering) gather(ctx context.Context) bool {
	if o.most <= 1 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(o.timeout)
	defer timer.Stop()
	for o.length() < o.most {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-o.woken:
		}
	}
	return true
}

func (o *ordering) cut() error {
	o.lock.Lock()
	block := o.waiting[:min(o.most, len(o.waiting))]
	o.lock.Unlock()
	codes, err := o.ledger.commit(block, o.members, o.signer.identity, func() bool { return o.faults.strike("conflict", "") != nil })
	if err != nil {
		return err
	}
	for i, one := range block {
		if codes[i] != peer.TxValidationCode_VALID {
			log.Printf("transaction %.8s is invalid: %s", one.id, codes[i])
		}
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	o.waiting = o.waiting[len(block):]
	if len(o.waiting) == 0 {
		return o.taken.clear()
	}
	return nil
}
