package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// fault is one thing that goes wrong on command, `Count` times.
//
//	refuse    phase evaluate or endorse: refused, with Message
//	delay     phase evaluate, endorse, submit, order or status: Millis later. In `order` submitted transactions stay unordered
//	before    submit: the connection fails, and the transaction never comes into a block
//	after     submit: the connection fails, and the transaction is in a block
//	conflict  the transaction is ordered, and is invalid: somebody else wrote what it read
//	restart   at once: every connection is cut, nobody listens for Millis, all is read from disk again
type fault struct {
	Kind    string `json:"kind"`
	Phase   string `json:"phase"`
	Message string `json:"message"`
	Millis  int    `json:"ms"`
	Count   int    `json:"count"`
}

// faults are those that wait to strike. They outlive a restart.
type faults struct {
	lock    sync.Mutex
	waiting []*fault
	restart chan time.Duration
}

func newFaults() *faults { return &faults{restart: make(chan time.Duration, 1)} }

// strike returns a fault of that kind and phase, and counts it; nil when there is none.
func (f *faults) strike(kind, phase string) *fault {
	f.lock.Lock()
	defer f.lock.Unlock()
	for i, one := range f.waiting {
		if one.Kind != kind || one.Phase != phase {
			continue
		}
		if one.Count--; one.Count <= 0 {
			f.waiting = append(f.waiting[:i:i], f.waiting[i+1:]...)
		}
		return one
	}
	return nil
}

// delay waits if a fault says so. It returns false when the caller is gone.
func (f *faults) delay(ctx context.Context, phase string) bool {
	found := f.strike("delay", phase)
	if found == nil {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(time.Duration(found.Millis) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

var phases = map[string][]string{
	"refuse": {"evaluate", "endorse"}, "delay": {"evaluate", "endorse", "submit", "order", "status"},
	"before": {"submit"}, "after": {"submit"}, "conflict": {""}, "restart": {""},
}

func (f *faults) add(one *fault) error {
	known := false
	for _, phase := range phases[one.Kind] {
		known = known || phase == one.Phase
	}
	if !known || one.Count < 0 || one.Millis < 0 {
		return fmt.Errorf("no fault %q in the phase %q", one.Kind, one.Phase)
	}
	if one.Kind == "restart" {
		select {
		case f.restart <- time.Duration(one.Millis) * time.Millisecond:
			return nil
		default:
			return fmt.Errorf("a restart is under way")
		}
	}
	one.Count = max(1, one.Count)
	f.lock.Lock()
	defer f.lock.Unlock()
	f.waiting = append(f.waiting, one)
	return nil
}

// ServeHTTP takes faults (POST), forgets them (DELETE) and lists them (GET). On loopback, without any secret: it is for tests.
func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var one fault
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&one)
		if err == nil {
			err = f.add(&one)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		f.lock.Lock()
		f.waiting = nil
		f.lock.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet:
		f.lock.Lock()
		defer f.lock.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(append([]*fault{}, f.waiting...)) // the caller that is gone needs no answer
	default:
		http.Error(w, "GET, POST or DELETE", http.StatusMethodNotAllowed)
	}
}
