"""Errors say what happened to what, survive pickling, and hold no metadata."""

from __future__ import annotations

import pickle

import pytest

from kaa_epr.client import (
    BadRequest,
    ClientClosed,
    ClientError,
    ConnectionFailed,
    EndpointMetadata,
    EndpointNotFound,
    NoResponders,
    PayloadTooLarge,
    ProtocolViolation,
    RepositoryError,
    RepositoryUnavailable,
    RequestTimeout,
    TooManyRequests,
)
from kaa_epr.client.errors import from_status
from kaa_epr.errors import KaaEprError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EndpointNotFound("e", "c", 404, None), "endpoint 'e': status 404 (correlation id 'c')"),
        (
            NoResponders("e", "c", 503, "nobody listens to s"),
            "endpoint 'e': status 503, 'nobody listens to s' (correlation id 'c')",
        ),
        (
            RequestTimeout("e", "c", 2.5, 3),
            "endpoint 'e': no answer within 2.5 s and 3 attempts (correlation id 'c')",
        ),
        (
            RequestTimeout("e", "c", 2.5, 3, "no"),
            "endpoint 'e': no answer within 2.5 s and 3 attempts; NATS said 'no' (correlation id 'c')",
        ),
        (ProtocolViolation("e", "c", "bad"), "endpoint 'e': unusable answer: bad (correlation id 'c')"),
        (TooManyRequests(7), "7 gets are in flight already (max_in_flight)"),
        (ClientClosed("the client"), "the client is closed"),
        (ConnectionFailed("refused"), "no connection to NATS: refused"),
    ],
)
def test_texts(error: ClientError, text: str) -> None:
    assert str(error) == text
    assert isinstance(error, KaaEprError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == text


def test_texts_from_elsewhere_are_bounded_and_on_one_line() -> None:
    text = str(BadRequest("e" * 10_000, "c\r\nforged log line", 400, "r" * 10_000))
    assert len(text) < 800
    assert "\n" not in text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (404, EndpointNotFound),
        (413, PayloadTooLarge),
        (503, RepositoryUnavailable),
        (500, RepositoryError),
        (299, RepositoryError),
    ],
)
def test_status_to_error(status: int, kind: type[ClientError]) -> None:
    error = from_status("e", "c", status, "r")
    assert type(error) is kind
    assert (error.status, error.reason, error.endpoint_id) == (status, "r", "e")


def test_a_result_shows_all_but_the_values() -> None:
    endpoint = EndpointMetadata("e", "c", b'{"k":"hidden"}', '"1"', "v")
    assert repr(endpoint) == (
        "EndpointMetadata(endpoint_id='e', correlation_id='c', "
        "etag='\"1\"', app_version_name='v', <14 bytes>)"
    )
    assert endpoint.metadata == {"k": "hidden"}
    assert endpoint.metadata is endpoint.metadata
    assert "hidden" not in repr(endpoint)
    assert endpoint == EndpointMetadata("e", "c", b'{"k":"hidden"}', '"1"', "v")
    with pytest.raises(AttributeError):
        endpoint.etag = "x"  # type: ignore[misc]


def test_a_result_without_metadata() -> None:
    endpoint = EndpointMetadata("e", "c", None, None, None)
    assert endpoint.metadata is None
    assert "<no payload>" in repr(endpoint)
