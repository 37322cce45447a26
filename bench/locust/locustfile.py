"""Users of an endpoint register: ``locust -f bench/locust/locustfile.py --host nats://127.0.0.1:4222``.

Each user thinks, then gets an endpoint it knows (hit), some of its fields (include), one that nobody asked
for yet (miss), one that does not exist (unknown), or updates one and reads it back (update): its own write
is what it must see. Answers are
checked; a wrong one is a failure named by its status or by what is wrong with it.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

from locust import User, events, task
from locust.env import Environment

from bench.locust.link import Link, LinkLost, NoAnswer
from bench.locust.mix import DEFAULT, Mix
from bench.locust.store import Store
from kaa_epr.client.codec import Answer


class WrongAnswer(Exception):
    """An answer that is not what the store holds."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any) -> None:
    """Options beside locust's own; each may come from the environment too."""
    add = parser.add_argument_group("EPMMP").add_argument
    add("--instance", default="epr", env_var="EPMMP_INSTANCE", help="service instance name of the responder")
    add("--mix", type=_mix, default=DEFAULT, env_var="EPMMP_MIX", help=f"weights by kind ({DEFAULT})")
    add("--hot", type=int, default=1000, env_var="EPMMP_HOT", help="endpoints that hits are spread over")
    add("--endpoints", type=int, default=100_000, env_var="EPMMP_ENDPOINTS", help="endpoints used at most")
    add("--think", type=float, default=0.1, env_var="EPMMP_THINK", help="mean seconds between a user's gets")
    add("--patience", type=float, default=5.0, env_var="EPMMP_PATIENCE", help="seconds a get may take")
    add(
        "--mongo",
        default="mongodb://127.0.0.1:27017",
        env_var="EPMMP_MONGO",
        help="the store, for the endpoints' ids",
    )
    add("--database", default="epr", env_var="EPMMP_DATABASE", help="its database")
    add("--collection", default="endpoints", env_var="EPMMP_COLLECTION", help="its collection")


def _mix(text: str) -> str:
    """Checked here, passed on as text: locust sends options to its workers as JSON."""
    try:
        Mix.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


class World:
    """What all users of one process share."""

    def __init__(self, options: argparse.Namespace, host: str, worker: int) -> None:
        self.link = Link(host, options.instance)
        self.store = Store(options.mongo, options.database, options.collection)
        self.mix = Mix.parse(options.mix)
        self.patience: float = options.patience
        self.think: float = options.think
        ids = self.store.ids(options.endpoints)
        if not ids:
            raise LookupError(f"no endpoints in {options.database}.{options.collection}")
        self.hot = ids[: options.hot]
        cold = ids[options.hot :] or ids
        random.shuffle(cold)  # each worker process goes its own way through them
        self.cold = cold
        self.next_cold = count()
        self.key = f"locust-{worker}"
        """The metadata field that this process's users set: nobody else writes it."""
        self.next_value = count()
        self.updating: set[str] = set()
        """Endpoints that a user has written and not read back yet; another's write would hide its own."""


class EpmmpUser(User):
    """A service that needs endpoint metadata."""

    world: ClassVar[World | None] = None

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if EpmmpUser.world is None:
            assert environment.parsed_options is not None  # so it is whenever locust runs from a command line
            host, worker = (
                self.host or "nats://127.0.0.1:4222",
                getattr(environment.runner, "worker_index", 0),
            )
            EpmmpUser.world = World(environment.parsed_options, host, worker)
        self.shared = EpmmpUser.world
        self.rng = random.Random()
        self.tasks_by_kind: dict[str, Callable[[], None]] = {
            "hit": self.hit,
            "include": self.include,
            "miss": self.miss,
            "unknown": self.unknown,
            "update": self.update,
        }

    def wait_time(self) -> float:
        """Seconds until the next task: exponential, as arrivals of many independent users are."""
        return self.rng.expovariate(1 / self.shared.think) if self.shared.think > 0 else 0.0

    @task
    def act(self) -> None:
        """One task, drawn by the mix."""
        self.tasks_by_kind[self.shared.mix.draw(self.rng)]()

    def hit(self) -> None:
        """All metadata of an endpoint that many ask for."""
        self._timed("hit", self.rng.choice(self.shared.hot), (), 200)

    def include(self) -> None:
        """Three fields of one."""
        endpoint_id = self.rng.choice(self.shared.hot)
        keys = self.shared.store.keys(endpoint_id)
        self._timed("include", endpoint_id, tuple(self.rng.sample(keys, min(3, len(keys)))), 200)

    def miss(self) -> None:
        """An endpoint not asked for before, as long as there are any."""
        cold = self.shared.cold
        self._timed("miss", cold[next(self.shared.next_cold) % len(cold)], (), 200)

    def unknown(self) -> None:
        """An endpoint that does not exist."""
        self._timed("unknown", f"no-such-{self.rng.randrange(1000)}", (), 404)

    def update(self) -> None:
        """Sets a metadata key over 19/EPMMP, and reads it back: anything else than the write is stale."""
        world = self.shared
        free = [each for each in self.rng.choices(world.hot, k=8) if each not in world.updating]
        if not free:
            return  # a few hot endpoints, all of them being written by others
        endpoint_id, value = free[0], next(world.next_value)
        world.updating.add(endpoint_id)
        try:
            if self._write(endpoint_id, value):
                self._timed(
                    "read-back", endpoint_id, (world.key,), 200, lambda answer: self._fresh(answer, value)
                )
        finally:
            world.updating.discard(endpoint_id)

    def _write(self, endpoint_id: str, value: int) -> bool:
        world, begin = self.shared, time.perf_counter()
        failure: Exception | None = None
        try:
            answer = world.link.update(endpoint_id, world.key, b"%d" % value, world.patience)
            if answer["statusCode"] != 200:
                raise WrongAnswer(f"status {answer['statusCode']} ({answer['reasonPhrase']}), expected 200")
        except (WrongAnswer, NoAnswer, LinkLost, OSError) as error:
            failure = error
        self._fire("update", begin, 0, failure)
        return failure is None

    def _fresh(self, answer: Answer, value: int) -> None:
        if json.loads(answer.payload or b"null") != {self.shared.key: value}:
            raise WrongAnswer("stale: not the value that was written")

    def _timed(
        self,
        name: str,
        endpoint_id: str,
        include: tuple[str, ...],
        expected: int,
        check: Callable[[Answer], None] | None = None,
    ) -> None:
        begin = time.perf_counter()
        size, failure = 0, None
        try:
            answer = self.shared.link.get(endpoint_id, include, self.shared.patience)
            size = len(answer.payload or b"")
            if answer.status != expected:
                raise WrongAnswer(f"status {answer.status} ({answer.reason}), expected {expected}")
            if answer.endpoint_id != endpoint_id:
                raise WrongAnswer("another endpoint than asked for")
            if check is not None:
                check(answer)
        except (WrongAnswer, NoAnswer, LinkLost, OSError) as error:
            failure = error
        self._fire(name, begin, size, failure)

    def _fire(self, name: str, begin: float, size: int, failure: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="EPMMP",
            name=name,
            response_time=(time.perf_counter() - begin) * 1000,
            response_length=size,
            exception=failure,
            context={},
        )
