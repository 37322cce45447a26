package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/hamba/avro/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

const storeTimeout = 2 * time.Second

// An endpoint as the cache keeps it.
type endpoint struct {
	eTag, appVersion string
	keys             []string
	values           [][]byte
	whole            []byte
}

type responder struct {
	connection *nats.Conn
	endpoints  *mongo.Collection
	codec      *codec
	cache      *lru.Cache[string, *endpoint]
	loads      chan struct{}
}

func newResponder(connection *nats.Conn, endpoints *mongo.Collection, codec *codec, entries int) (*responder, error) {
	cache, err := lru.New[string, *endpoint](entries)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &responder{connection, endpoints, codec, cache, make(chan struct{}, loads)}, nil
}

func (r *responder) onGet(message *nats.Msg) {
	var request getRequest
	if err := avro.Unmarshal(r.codec.request, message.Data, &request); err != nil {
		log.Println("malformed request:", err)
		return
	}
	if cached, ok := r.cache.Get(request.EndpointID); ok {
		r.answer(message.Reply, &request, found(cached, request.Include))
		return
	}
	go r.load(message.Reply, &request)
}

func (r *responder) load(reply string, request *getRequest) {
	r.loads <- struct{}{}
	defer func() { <-r.loads }()
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	var stored document
	err := r.endpoints.FindOne(ctx, bson.D{{Key: "_id", Value: request.EndpointID}}).Decode(&stored)
	if errors.Is(err, mongo.ErrNoDocuments) {
		r.answer(reply, request, failed(404, "Endpoint not found"))
		return
	}
	if err != nil {
		r.answer(reply, request, failed(503, "Endpoint store is unavailable"))
		return
	}
	entry, err := stored.endpoint()
	if err != nil {
		r.answer(reply, request, failed(500, "Stored endpoint is unusable"))
		return
	}
	r.cache.Add(request.EndpointID, entry)
	r.answer(reply, request, found(entry, request.Include))
}

func (r *responder) answer(reply string, request *getRequest, response *getResponse) {
	response.CorrelationID = request.CorrelationID
	response.EndpointID = request.EndpointID
	response.Timestamp = time.Now().UnixMilli()
	data, err := avro.Marshal(r.codec.response, response)
	if err == nil {
		err = r.connection.Publish(reply, data)
	}
	if err != nil {
		log.Println("answer:", err)
	}
}

func found(entry *endpoint, include []string) *getResponse {
	payload := entry.whole
	if len(include) > 0 {
		payload = entry.project(include)
	}
	return &getResponse{ETag: &entry.eTag, Payload: &payload, StatusCode: 200, AppVersionName: &entry.appVersion}
}

func failed(status int, reason string) *getResponse {
	return &getResponse{StatusCode: status, ReasonPhrase: &reason}
}

// The fields named by include, in stored order.
func (e *endpoint) project(include []string) []byte {
	out := []byte{'{'}
	for number, key := range e.keys {
		if slices.Contains(include, key) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = fmt.Appendf(out, "%q:", key)
			out = append(out, e.values[number]...)
		}
	}
	return append(out, '}')
}
