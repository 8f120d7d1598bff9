package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/v3"
)

// etcd puts each entry under a key of its own, as long as a policy id.
type etcd struct{ client *clientv3.Client }

func dialEtcd(o options, config *tls.Config) (connection, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{o.url}, TLS: config, DialTimeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "ready"); err != nil {
		return nil, err
	}
	return &etcd{client}, nil
}

func (c *etcd) send(ctx context.Context, number int, entry []byte) error {
	_, err := c.client.Put(ctx, fmt.Sprintf("%040x", number), string(entry))
	return err
}

func (c *etcd) close() { _ = c.client.Close() }

// master posts each entry by itself, as a publisher of one policy does.
type master struct {
	client     *http.Client
	url, token string
}

func dialMaster(o options, config *tls.Config) (connection, error) {
	token, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, MaxConnsPerHost: 1, DisableCompression: true}
	c := &master{
		client: &http.Client{Transport: transport, Timeout: time.Minute},
		url:    strings.TrimSuffix(o.url, "/"),
		token:  "Bearer " + strings.TrimSpace(string(token)),
	}
	response, err := c.client.Get(c.url + "/checkpoint")
	if err != nil {
		return nil, err
	}
	return c, expect(response, http.StatusOK)
}

func (c *master) send(ctx context.Context, _ int, entry []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/entries", bytes.NewReader(entry))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", c.token)
	request.Header.Set("Content-Type", "application/vnd.dsse.envelope.v1+json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	return expect(response, http.StatusCreated)
}

func (c *master) close() { c.client.CloseIdleConnections() }

// expect reads an answer to its end, so that the connection can be used again.
func expect(response *http.Response, status int) error {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s: %.300s", response.Status, body)
	}
	return nil
}
