// The least that a nats.go subscription callback can do: send the payload back.
package main

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
)

func main() {
	connection, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatalln("connect:", err)
	}
	defer connection.Close()
	subject := fmt.Sprintf("kaa.v1.service.%s.epmmp.ep-metadata-get-request", os.Getenv("INSTANCE"))
	subscription, err := connection.QueueSubscribe(subject, "bench", func(message *nats.Msg) {
		if err := connection.Publish(message.Reply, message.Data); err != nil {
			log.Fatalln("publish:", err)
		}
	})
	if err != nil {
		log.Fatalln("subscribe:", err)
	}
	if err := subscription.SetPendingLimits(1_000_000, 1<<30); err != nil {
		log.Fatalln("limits:", err)
	}
	if err := connection.Flush(); err != nil {
		log.Fatalln("flush:", err)
	}
	fmt.Println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
