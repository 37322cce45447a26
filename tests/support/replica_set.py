"""A replica set of three mongods on loopback, and what can be done to it; blocking, as the servers are.

Fail-over takes seconds: a primary that is not heard for ``ELECTION_MS`` is replaced. Nobody polls: a member
is asked with an awaitable ``hello``, which mongod answers when its view of the set changes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from kaa_epr.embedded import MongoServer
from kaa_epr.embedded.mongo import REPLICA_SET

ELECTION_MS: Final = 2000
HEARTBEAT_MS: Final = 500
DEADLINE: Final = 60.0
"""Seconds for an election or a recovery on a busy machine."""
AWAIT_MS: Final = 500
STOP_FETCHING: Final = "stopReplProducer"
"""Fail point of mongod: a secondary fetches no further operations, and is heard all the same."""
Document = dict[str, Any]


class ReplicaSet:
    """Three members, started together and stopped in the end; a context manager.

    Start it on a thread that outlives it (see ``ServerProcess``). The methods raise PyMongoError,
    EmbeddedError, or AssertionError when what they wait for does not happen within ``DEADLINE``.
    """

    def __init__(self, directory: Path, members: int = 3) -> None:
        options = ("--setParameter", "enableTestCommands=1")
        self.members = [
            MongoServer(directory / f"mongo-{number}", initiate=False, options=options)
            for number in range(members)
        ]
        self._frozen: set[int] = set()
        self._running = ExitStack()

    @property
    def uri(self) -> str:
        """For clients, all members named."""
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={REPLICA_SET}"

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for member in self.members:
                member.start()
                running.callback(member.kill)  # in order it would wait 15 s for clients to leave
            self._initiate()
            for member in self.members:
                self._await(member, lambda said: said["isWritablePrimary"] or said["secondary"])
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            if member.process.running and member.process.pid in self._frozen:
                self.thaw(member)
        self._running.close()

    # --- who is who -----------------------------------------------------------------------------------------
    def primary(self, other_than: MongoServer | None = None) -> MongoServer:
        """The primary of the latest term, as soon as there is one; ``other_than`` does not count."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            # One that lost its majority may still take itself for the primary.
            elected: list[tuple[Any, MongoServer]] = []
            for member in self.members:
                said = self._hello(member)
                if member is not other_than and said is not None and said["isWritablePrimary"]:
                    elected.append((said["electionId"], member))
            if elected:
                return max(elected, key=lambda one: one[0])[1]
            self._await_change()
        raise AssertionError(f"no primary within {DEADLINE:g} seconds")

    def secondaries(self) -> list[MongoServer]:
        """Those that run beside the primary."""
        primary = self.primary()
        return [member for member in self.members if member is not primary and self._heard(member)]

    # --- what can be done to a member -----------------------------------------------------------------------
    def kill(self, member: MongoServer) -> None:
        """SIGKILL."""
        member.kill()

    def restart(self, member: MongoServer) -> None:
        """Starts one that was killed; it is a primary or a secondary again when this returns."""
        member.start()
        self._await(member, lambda said: said["isWritablePrimary"] or said["secondary"])

    def step_down(self) -> MongoServer:
        """The primary resigns for a while; the one that comes after it."""
        old = self.primary()
        with direct(old) as client, suppress(AutoReconnect):  # mongod may close its connections
            client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=4, force=True)
        return self.primary(other_than=old)

    def freeze(self, member: MongoServer) -> None:
        """SIGSTOP: it is there and says nothing."""
        self._frozen.add(member.process.pid)
        member.process.signal(signal.SIGSTOP)

    def thaw(self, member: MongoServer) -> None:
        """SIGCONT: it goes on as if nothing had happened."""
        self._frozen.discard(member.process.pid)
        member.process.signal(signal.SIGCONT)

    @contextmanager
    def not_replicating(self) -> Iterator[None]:
        """Inside, secondaries fetch nothing: what the primary writes is on the primary alone."""
        secondaries = self.secondaries()
        for member in secondaries:
            with direct(member) as client:
                entered = client.admin.command(_fail_point("alwaysOn"))["count"]
                # Until then a batch asked for before may still come.
                waiting = {"waitForFailPoint": STOP_FETCHING, "timesEntered": entered + 1}
                client.admin.command(waiting | {"maxTimeMS": int(DEADLINE * 1000)})
        try:
            yield
        finally:
            for member in secondaries:
                with direct(member) as client:
                    client.admin.command(_fail_point("off"))

    def rollbacks(self, member: MongoServer) -> int:
        """A number that grows with every rollback of this member."""
        with direct(member) as client:
            return int(client.admin.command("replSetGetRBID")["rbid"])

    # --- how ------------------------------------------------------------------------------------------------
    def _initiate(self) -> None:
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        # No catch-up: a new primary takes writes at once, and what only the old one had is rolled back.
        settings = {
            "electionTimeoutMillis": ELECTION_MS,
            "heartbeatIntervalMillis": HEARTBEAT_MS,
            "catchUpTimeoutMillis": 0,
        }
        with direct(self.members[0]) as client:
            client.admin.command(
                "replSetInitiate", {"_id": REPLICA_SET, "members": members, "settings": settings}
            )

    def _heard(self, member: MongoServer) -> bool:
        return member.process.running and member.process.pid not in self._frozen

    def _hello(self, member: MongoServer) -> Document | None:
        """What the member says of itself; None if it is dead, frozen, or going down."""
        if not self._heard(member):
            return None
        try:
            with direct(member) as client:
                return client.admin.command("hello")
        except PyMongoError:
            return None

    def _await_change(self) -> None:
        """Until the view of any member that is heard changes, at most ``AWAIT_MS``."""
        member = next(member for member in self.members if self._heard(member))
        with direct(member) as client, suppress(AutoReconnect):  # a closed connection is a change too
            said = client.admin.command("hello")
            client.admin.command("hello", topologyVersion=said["topologyVersion"], maxAwaitTimeMS=AWAIT_MS)

    def _await(self, member: MongoServer, reached: Any) -> None:
        """Until ``reached`` holds for what ``member`` says of itself."""
        deadline = time.monotonic() + DEADLINE
        said: Document = {}
        while time.monotonic() < deadline:
            try:
                with direct(member) as client:
                    said = client.admin.command("hello")
                    while not reached(said) and time.monotonic() < deadline:
                        seen = said["topologyVersion"]
                        said = client.admin.command("hello", topologyVersion=seen, maxAwaitTimeMS=AWAIT_MS)
            except AutoReconnect:  # a rollback closes connections
                continue
            if reached(said):
                return
        raise AssertionError(f"{member.address} still says {said}")


def direct(member: MongoServer) -> MongoClient[Document]:
    """A client of this member alone."""
    return MongoClient(member.address, directConnection=True, serverSelectionTimeoutMS=10_000)


def _fail_point(mode: str) -> Document:
    return {"configureFailPoint": STOP_FETCHING, "mode": mode}
