"""Async client of 19/EPMMP metadata gets for other Python services: ``EpmmpClient``."""

from kaa_epr.client.calls import ClientStats
from kaa_epr.client.client import EpmmpClient
from kaa_epr.client.errors import (
    BadRequest,
    ClientClosed,
    ClientError,
    ConnectionFailed,
    EndpointNotFound,
    GetError,
    NoResponders,
    PayloadTooLarge,
    ProtocolViolation,
    RepositoryError,
    RepositoryUnavailable,
    RequestTimeout,
    StatusError,
    TooManyRequests,
)
from kaa_epr.client.options import ClientOptions
from kaa_epr.client.result import EndpointMetadata

__all__ = [
    "BadRequest",
    "ClientClosed",
    "ClientError",
    "ClientOptions",
    "ClientStats",
    "ConnectionFailed",
    "EndpointMetadata",
    "EndpointNotFound",
    "EpmmpClient",
    "GetError",
    "NoResponders",
    "PayloadTooLarge",
    "ProtocolViolation",
    "RepositoryError",
    "RepositoryUnavailable",
    "RequestTimeout",
    "StatusError",
    "TooManyRequests",
]
