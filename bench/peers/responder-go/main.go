// A responder as a Go programmer would write it for speed: the cache keeps the metadata as JSON, whole and by
// field, so a hit is one decode, one lookup and one encode. It neither listens to events nor shares loads.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Finds under way at once.
const loads = 64

func main() {
	if err := run(); err != nil {
		log.Fatalln(err)
	}
}

func run() error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	entries, err := strconv.Atoi(os.Getenv("CACHE_ENTRIES"))
	if err != nil {
		return fmt.Errorf("CACHE_ENTRIES: %w", err)
	}
	messages, err := newCodec(filepath.Join(os.Getenv("SCHEMAS"), "epmmp"))
	if err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("MONGO_URI")).SetMaxPoolSize(loads))
	if err != nil {
		return fmt.Errorf("mongo: %w", err)
	}
	defer client.Disconnect(context.Background())
	connection, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer connection.Close()
	endpoints := client.Database(os.Getenv("MONGO_DATABASE")).Collection(os.Getenv("MONGO_COLLECTION"))
	responder, err := newResponder(connection, endpoints, messages, entries)
	if err != nil {
		return err
	}
	subject := fmt.Sprintf("kaa.v1.service.%s.epmmp.ep-metadata-get-request", os.Getenv("INSTANCE"))
	subscription, err := connection.QueueSubscribe(subject, "bench", responder.onGet)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := subscription.SetPendingLimits(1_000_000, 1<<30); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := connection.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	fmt.Println("ready")
	<-stop.Done()
	return nil
}
