package main

import (
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The document in Mongo, as far as an answer needs it.
type document struct {
	Version            int64   `bson:"version"`
	ApplicationVersion string  `bson:"application_version"`
	Metadata           []field `bson:"metadata"`
}

type field struct {
	Key   string        `bson:"key"`
	Value bson.RawValue `bson:"value"`
}

// The document with its values turned into JSON once.
func (d *document) endpoint() (*endpoint, error) {
	entry := &endpoint{eTag: fmt.Sprintf("\"%d\"", d.Version), appVersion: d.ApplicationVersion}
	entry.whole = []byte{'{'}
	for number, field := range d.Metadata {
		wrapped, err := bson.MarshalExtJSON(bson.D{{Key: "", Value: field.Value}}, false, false)
		if err != nil {
			return nil, err
		}
		value := wrapped[len(`{"":`) : len(wrapped)-1]
		entry.keys = append(entry.keys, field.Key)
		entry.values = append(entry.values, value)
		if number > 0 {
			entry.whole = append(entry.whole, ',')
		}
		entry.whole = fmt.Appendf(entry.whole, "%q:", field.Key)
		entry.whole = append(entry.whole, value...)
	}
	entry.whole = append(entry.whole, '}')
	return entry, nil
}
