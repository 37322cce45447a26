"""Makes a mongod of one's own the primary of a replica set, so that transactions and change streams work.

Used by the embedded servers and the tests; blocking, since it runs before there is an event loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import MongoClient, ReadPreference
from pymongo.errors import OperationFailure

Document = dict[str, Any]
ALREADY_INITIALIZED: Final = 23
CONNECT_TIMEOUT_MS: Final = 10_000


def ensure_primary(
    address: str,
    name: str,
    *,
    timeout: float,
    others: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> None:
    """Initiate replica set ``name`` on the member at ``address`` unless it was, and wait for a primary.

    ``address`` and ``others`` are ``host:port`` of its members, ``timeout`` is in seconds; ``options`` go to
    the client (credentials, TLS). Raises PyMongoError.
    """
    with _direct(address, options) as member:
        hosts = [address, *others]
        config = {"_id": name, "members": [{"_id": i, "host": host} for i, host in enumerate(hosts)]}
        try:
            member.admin.command("replSetInitiate", config)
        except OperationFailure as failure:
            if failure.code != ALREADY_INITIALIZED:
                raise
    wait_for_primary(address, name, timeout=timeout, options=options)


def rename_only_member(address: str) -> None:
    """Give the stored configuration of a set of one the new ``address``.

    To be asked of a mongod that runs *without* ``--replSet``: a member that does not find itself in its
    configuration first asks whoever listens at the old address now, for ever. Raises PyMongoError.
    """
    with _direct(address, None) as standalone:
        standalone.local["system.replset"].update_one({}, {"$set": {"members.0.host": address}})


def wait_for_primary(
    address: str, name: str, *, timeout: float, options: Mapping[str, Any] | None = None
) -> None:
    """Wait until the set has a primary that takes commands; the driver's monitors tell, nobody polls."""
    with MongoClient[Document](
        address, replicaSet=name, serverSelectionTimeoutMS=int(timeout * 1000), **dict(options or {})
    ) as client:
        client.admin.command("ping", read_preference=ReadPreference.PRIMARY)


def create_root(address: str, user: str, password: str, options: Mapping[str, Any] | None = None) -> None:
    """Create the first user, which a fresh primary with access control lets anyone on loopback do."""
    with _direct(address, options) as member:
        member.admin.command("createUser", user, pwd=password, roles=["root"])


def _direct(address: str, options: Mapping[str, Any] | None) -> MongoClient[Document]:
    return MongoClient(
        address, directConnection=True, serverSelectionTimeoutMS=CONNECT_TIMEOUT_MS, **dict(options or {})
    )
