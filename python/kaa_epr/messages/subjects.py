"""NATS subjects of the Kaa RFCs, built from checked tokens.

Three shapes (3/ISM): a *targeted* message goes to ``kaa.v1.service.{instance}.{protocol}.{type}``, an answer
to one replica goes to ``kaa.v1.replica.{replica}.{protocol}.{type}``, an event goes to
``kaa.v1.events.{originator}.{entity}.{group}.{type}``. Everything variable is one NATS token.
"""

from __future__ import annotations

import re
from typing import Final

from kaa_epr.errors import KaaEprError

ANY: Final = "*"
"""In place of an originator or a filter id: any one, for subscriptions only."""

MAX_TOKEN_BYTES: Final = 255
"""Far below what nats-server takes in one control line (4096 bytes by default)."""

# 19/EPMMP, message types
GET_REQUEST: Final = "ep-metadata-get-request"
GET_RESPONSE: Final = "ep-metadata-get-response"
KEYS_GET_REQUEST: Final = "ep-metadata-keys-get-request"
KEYS_GET_RESPONSE: Final = "ep-metadata-keys-get-response"
PATCH_REQUEST: Final = "ep-metadata-patch-request"
PATCH_RESPONSE: Final = "ep-metadata-patch-response"
KEY_UPDATE_REQUEST: Final = "ep-metadata-key-update-request"
KEY_UPDATE_RESPONSE: Final = "ep-metadata-key-update-response"
KEY_BATCH_UPDATE_REQUEST: Final = "ep-metadata-key-batch-update-request"
APP_VERSION_GET_REQUEST: Final = "ep-app-version-get-request"
APP_VERSION_GET_RESPONSE: Final = "ep-app-version-get-response"
# 20/EFMP
FILTERS_REQUEST: Final = "ep-filters-request"
FILTERS_RESPONSE: Final = "ep-filters-response"
LIST_BY_FILTER_REQUEST: Final = "ep-list-by-filter-request"
LIST_BY_FILTER_RESPONSE: Final = "ep-list-by-filter-response"
# 24/EPRMP
RELATIONS_GET_REQUEST: Final = "ep-relations-get-request"
RELATIONS_GET_RESPONSE: Final = "ep-relations-get-response"

EPMMP: Final = "epmmp"
EFMP: Final = "efmp"
EPRMP: Final = "eprmp"
SCMP: Final = "scmp"

_FORBIDDEN: Final = re.compile(r"[\s.*>\x00-\x1f\x7f]")


class InvalidSubjectToken(KaaEprError):
    """A name that cannot stand as one token in a NATS subject."""

    def __init__(self, role: str, token: str) -> None:
        super().__init__(role, token)
        self.role = role
        self.token = token

    def message(self) -> str:
        """Name the part, the token and the rule."""
        return (
            f"{self.role} {self.token[:MAX_TOKEN_BYTES]!r} is not one NATS token: it must be 1 to "
            f"{MAX_TOKEN_BYTES} bytes without whitespace, control characters, '.', '*' and '>'"
        )


def is_token(token: str) -> bool:
    """Whether ``token`` can stand between two dots of a subject."""
    try:
        size = len(token.encode())
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form
        return False
    return 0 < size <= MAX_TOKEN_BYTES and _FORBIDDEN.search(token) is None


def check_token(role: str, token: str) -> str:
    """Returns ``token``; raises ``InvalidSubjectToken`` naming ``role`` when it is not one token."""
    if not is_token(token):
        raise InvalidSubjectToken(role, token)
    return token


def _check_pattern(role: str, token: str) -> str:
    return token if token == ANY else check_token(role, token)


# --- the three shapes of 3/ISM --------------------------------------------------------------------------


def targeted(instance: str, protocol: str, message_type: str) -> str:
    """Subject of a targeted message; replicas of ``instance`` share ``queue_group(instance)``."""
    return f"kaa.v1.service.{check_token('service instance name', instance)}.{protocol}.{message_type}"


def replica(replica_id: str, protocol: str, message_type: str) -> str:
    """Subject for answers to one replica (3/ISM, session affinity)."""
    return f"kaa.v1.replica.{check_token('replica id', replica_id)}.{protocol}.{message_type}"


def event(originator: str, *tail: str) -> str:
    """Subject of an event; ``originator`` is the publisher's instance name, or ``ANY``."""
    return ".".join(("kaa.v1.events", _check_pattern("originator", originator), *tail))


def queue_group(instance: str) -> str:
    """The queue group that the replicas of ``instance`` share: its name (3/ISM)."""
    return check_token("service instance name", instance)


# --- 19/EPMMP -------------------------------------------------------------------------------------------


def metadata_get_request(instance: str) -> str:
    """Where a repository instance takes 19/EPMMP gets."""
    return targeted(instance, EPMMP, GET_REQUEST)


def metadata_get_response(replica_id: str) -> str:
    """The replyTo that 19/EPMMP recommends to clients."""
    return replica(replica_id, EPMMP, GET_RESPONSE)


# --- 9/ELCE, 15/EME -------------------------------------------------------------------------------------


def registered(originator: str = ANY) -> str:
    """9/ELCE: an endpoint was registered."""
    return event(originator, "endpoint", "lifecycle", "registered")


def unregistered(originator: str = ANY) -> str:
    """9/ELCE: an endpoint was unregistered."""
    return event(originator, "endpoint", "lifecycle", "unregistered")


def app_version_updated(originator: str = ANY) -> str:
    """9/ELCE: an endpoint changed its application version."""
    return event(originator, "endpoint", "lifecycle", "appversion-updated")


def connected(originator: str = ANY) -> str:
    """9/ELCE: endpoints connected."""
    return event(originator, "endpoint", "connectivity", "connected")


def disconnected(originator: str = ANY) -> str:
    """9/ELCE: endpoints disconnected."""
    return event(originator, "endpoint", "connectivity", "disconnected")


def metadata_updated(originator: str = ANY) -> str:
    """15/EME: metadata of an endpoint changed."""
    return event(originator, "endpoint", "metadata", "updated")


# --- our own: schemas/coherence/README.md -----------------------------------------------------------------


def heartbeat(originator: str = ANY) -> str:
    """Heartbeats of a register's writers; not among the events, which others may subscribe to whole."""
    return f"kaa.v1.coherence.{_check_pattern('originator', originator)}.heartbeat"


# --- 17/SCMP, 18/EFE, 24/EPRMP --------------------------------------------------------------------------


def configuration_broadcast(provider: str, change: str) -> str:
    """17/SCMP: a configuration changed; ``change`` is ``upsert`` or ``delete``."""
    return event(provider, "service", "configuration", check_token("change", change))


def configuration_targeted(instance: str, change: str) -> str:
    """17/SCMP: the configuration of ``instance`` changed; ``change`` is ``upsert`` or ``delete``."""
    return targeted(instance, SCMP, f"configuration.{check_token('change', change)}")


def filter_event(originator: str, filter_id: str, change: str) -> str:
    """18/EFE: ``pending``, ``activated``, ``deleted``, ``ep-matched`` or ``ep-unmatched``."""
    return event(
        originator,
        "endpoint-filter",
        _check_pattern("filter id", filter_id),
        _check_pattern("change", change),
    )


def relations_updated(originator: str = ANY) -> str:
    """24/EPRMP: relations of endpoints changed."""
    return event(originator, "endpoint", "relations", "updated")
