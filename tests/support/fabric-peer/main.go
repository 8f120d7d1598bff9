// Command fabric-peer is a stand-in peer for tests. It is not Hyperledger Fabric and holds no code of it: see README.md.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const what = "a stand-in peer for tests: not Hyperledger Fabric, one organisation, one channel, one endorser, no consensus"

// settings are the command line.
type settings struct {
	dir, material, msp, channel, name, chaincode string
	port, control, most                          int
	timeout                                      time.Duration
}

// node is one run of the peer, from the disk to the ports; a restart makes another.
type node struct {
	address   string
	members   *membership
	signer    *signer
	ledger    *ledger
	orderer   *ordering
	chaincode *chaincode
	faults    *faults
	stopping  chan struct{}
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	usage := fmt.Errorf("fabric-peer is %s\nusage: fabric-peer material DIR | user [flags] DIR NAME | serve [flags] | invoke [flags] DIR USER FUNCTION [ARGUMENT…]", what)
	if len(arguments) == 0 {
		return usage
	}
	switch rest := arguments[1:]; {
	case arguments[0] == "material" && len(rest) == 1:
		return makeMaterial(rest[0])
	case arguments[0] == "user":
		return user(rest)
	case arguments[0] == "serve":
		return serve(rest)
	case arguments[0] == "invoke":
		return invoke(rest)
	}
	return usage
}

func user(arguments []string) error {
	set := flag.NewFlagSet("user", flag.ContinueOnError)
	carries := map[string]string{}
	set.Func("attribute", "NAME=VALUE that the certificate carries; may be repeated", func(text string) error {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("%q is not NAME=VALUE", text)
		}
		carries[name] = value
		return nil
	})
	valid := set.Duration("valid", 365*24*time.Hour, "how long from now; below zero it has expired")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	if set.NArg() != 2 || set.Arg(1) != filepath.Base(set.Arg(1)) {
		return fmt.Errorf("usage: fabric-peer user [flags] DIR NAME")
	}
	until := time.Now().Add(*valid)
	return makeUser(set.Arg(0), set.Arg(1), carries, until.Add(-max(*valid, 0)-time.Hour), until)
}

func serve(arguments []string) error {
	var s settings
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	set.StringVar(&s.dir, "dir", "", "where the chain is kept")
	set.StringVar(&s.material, "material", "", "certificates, made by `material`")
	set.StringVar(&s.msp, "msp", "Org1MSP", "MSP id of the organisation")
	set.StringVar(&s.channel, "channel", "ledger", "name of the channel")
	set.StringVar(&s.name, "name", "metaledger", "name of the chaincode")
	set.StringVar(&s.chaincode, "chaincode", "", "host:port at which the chaincode serves")
	set.IntVar(&s.port, "port", 0, "port of the gateway; 0 is a free one")
	set.IntVar(&s.control, "control", 0, "port at which faults are asked for; 0 is a free one")
	set.IntVar(&s.most, "max-message-count", 1, "most transactions in a block")
	set.DurationVar(&s.timeout, "batch-timeout", 50*time.Millisecond, "how long a block that is not full waits")
	if err := set.Parse(arguments); err != nil {
		return err
	}
	if s.dir == "" || s.material == "" || s.chaincode == "" || s.most < 1 || set.NArg() > 0 {
		return fmt.Errorf("serve needs -dir, -material and -chaincode")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return s.serve(ctx, func(line []byte) { fmt.Println(string(line)) })
}

// serve runs the peer until the context ends, again after each restart. `ready` gets one line of JSON, once.
func (s settings) serve(ctx context.Context, ready func([]byte)) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	log.Print("this is ", what)
	f := newFaults()
	control, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.control))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(control)
	defer server.Close()
	told := false
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err != nil {
			return err
		}
		s.port = listener.Addr().(*net.TCPAddr).Port
		running, err := s.start(listener, f)
		if err != nil {
			return err
		}
		if !told {
			line, err := json.Marshal(map[string]any{"is": what, "port": s.port, "control": control.Addr().(*net.TCPAddr).Port, "pid": os.Getpid()})
			if err != nil {
				return err
			}
			ready(line)
			told = true
		}
		select {
		case <-ctx.Done():
			return running()
		case pause := <-f.restart:
			if err := running(); err != nil {
				return err
			}
			time.Sleep(pause)
		}
	}
}

// start reads the disk and serves. It returns how to stop: every connection is cut, nothing that was taken is lost.
func (s settings) start(listener net.Listener, f *faults) (func() error, error) {
	n := &node{address: listener.Addr().String(), faults: f, stopping: make(chan struct{})}
	own := filepath.Join(s.material, "peer")
	var err error
	if n.members, err = loadMembership(s.msp, filepath.Join(s.material, "ca.pem")); err != nil {
		return nil, err
	}
	if n.signer, err = loadSigner(s.msp, filepath.Join(own, "sign.pem"), filepath.Join(own, "sign.key")); err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(own, "tls.pem"), filepath.Join(own, "tls.key"))
	if err != nil {
		return nil, err
	}
	if n.ledger, err = openLedger(s.dir, s.channel); err != nil {
		return nil, err
	}
	if n.orderer, err = openOrdering(s.dir, n, s.most, s.timeout); err != nil {
		return nil, err
	}
	n.chaincode = &chaincode{name: s.name, address: s.chaincode, ledger: n.ledger}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)), grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest))
	gateway.RegisterGatewayServer(server, service{node: n})
	peer.RegisterDeliverServer(server, blocks{node: n})
	ordering, halt := context.WithCancel(context.Background())
	ordered := make(chan struct{})
	go func() { n.orderer.run(ordering); close(ordered) }()
	go server.Serve(listener)
	return func() error {
		close(n.stopping)
		server.Stop()
		halt()
		<-ordered
		n.chaincode.close()
		if err := n.orderer.taken.close(); err != nil {
			return err
		}
		return n.ledger.file.close()
	}, nil
}
