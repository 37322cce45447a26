package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hamba/avro/v2"
)

// EndpointMetadataGetRequest of 19/EPMMP, revision 3.
type getRequest struct {
	CorrelationID   string   `avro:"correlationId"`
	Timestamp       int64    `avro:"timestamp"`
	Timeout         int64    `avro:"timeout"`
	EndpointID      string   `avro:"endpointId"`
	Include         []string `avro:"include"`
	IncludeMetadata bool     `avro:"includeMetadata"`
}

// EndpointMetadataGetResponse of 19/EPMMP, revision 3.
type getResponse struct {
	CorrelationID  string  `avro:"correlationId"`
	Timestamp      int64   `avro:"timestamp"`
	Timeout        int64   `avro:"timeout"`
	EndpointID     string  `avro:"endpointId"`
	ETag           *string `avro:"eTag"`
	Payload        *[]byte `avro:"payload"`
	StatusCode     int     `avro:"statusCode"`
	ReasonPhrase   *string `avro:"reasonPhrase"`
	AppVersionName *string `avro:"appVersionName"`
}

type codec struct {
	request, response avro.Schema
}

func newCodec(directory string) (*codec, error) {
	request, err := readSchema(filepath.Join(directory, "0019-endpoint-metadata-get-request.rev3.avsc"))
	if err != nil {
		return nil, err
	}
	response, err := readSchema(filepath.Join(directory, "0019-endpoint-metadata-get-response.rev3.avsc"))
	if err != nil {
		return nil, err
	}
	return &codec{request, response}, nil
}

func readSchema(path string) (avro.Schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return avro.Parse(string(text))
}
