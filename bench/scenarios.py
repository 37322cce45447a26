"""What is measured, as data. Figures are compared within a scenario; its baseline, if any, is part of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

OURS: Final = "kaa-epr"
OURS_PYMONGO: Final = "kaa-epr-pymongo"
OURS_PURE: Final = "kaa-epr-pure"
OURS_BASELINE: Final = "kaa-epr-baseline"
"""Ours in the scenario's baseline, as a contender beside the others."""
RESPONDERS: Final = (OURS, "obvious", "responder-go", "responder-async-nats")
"""Contenders that answer with metadata."""
ECHOES: Final = ("echo-natspy", "echo-c", "echo-natsrpy", "echo-go")
"""Contenders that send the request back."""
WARMUP: Final = 1.0
"""Seconds of load before measuring; filling the cache warms too."""
ROOMY: Final = {"cache": {"max_bytes": "2GiB"}}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Endpoints in the store: how many, of how many fields, of how many bytes of JSON."""

    endpoints: int = 10_000
    fields: int = 10
    bytes: int = 300
    seed: int = 1

    @property
    def collection(self) -> str:
        """A name that says what is in it; ``v2``: of the generator's second dataset."""
        return f"v2_e{self.endpoints}_f{self.fields}_b{self.bytes}_s{self.seed}"

    def options(self) -> list[str]:
        """As options of the load generator."""
        named = {"endpoints": self.endpoints, "fields": self.fields, "bytes": self.bytes, "seed": self.seed}
        return [f"--{name}={value}" for name, value in named.items()]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question put to several contenders."""

    name: str
    title: str
    contenders: tuple[str, ...]
    dataset: Dataset = field(default_factory=Dataset)
    load: dict[str, Any] = field(default_factory=dict)
    """Options of the load generator; ``True`` stands for a bare flag."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of kaa-epr other than the defaults."""
    cache_entries: int = 2_000_000
    """Size of the other responders' caches."""
    prefill: bool = True
    seconds: float | None = None
    """Measured seconds where the figure asks for its own."""
    changes_per_second: float | None = None
    """Endpoints changed in Mongo beside the gets, each with a register's numbered event."""
    baseline: Scenario | None = None
    """What ours is measured in as well, in every round directly before or after this one."""

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """What the store must hold."""
        return (self.dataset, *(self.baseline.datasets if self.baseline else ()))

    def options(self) -> list[str]:
        """As options of the load generator."""
        options = self.dataset.options()
        for name, value in ({"warmup": WARMUP} | self.load).items():
            options.append(f"--{name}" if value is True else f"--{name}={value}")
        return [*options, "--prefill"] if self.prefill else options


def _window(size: int) -> Scenario:
    contenders = (*RESPONDERS, *ECHOES)
    return Scenario(f"window-{size}", f"window {size}", contenders, load={"window": size})


def _metadata(size: int, text: str, window: int) -> Scenario:
    return Scenario(
        f"metadata-{text}",
        f"metadata of {text}",
        RESPONDERS,
        Dataset(bytes=size),
        {"window": window},
        ROOMY,
    )


def _endpoints(
    count: int, text: str, contenders: tuple[str, ...], baseline: Scenario | None = None
) -> Scenario:
    name, title = f"endpoints-{text}", f"{text} endpoints"
    return Scenario(name, title, contenders, Dataset(endpoints=count), settings=ROOMY, baseline=baseline)


def _storm(name: str, title: str, on: str, of: str = "stock") -> Scenario:
    load = {"events-per-second": 50_000, "events-on": on, "events-of": of}
    return Scenario(name, title, (OURS,), load=load, baseline=CANONICAL)


def _events(name: str, title: str, *, prefill: bool = False, **load: str) -> Scenario:
    """CPU time comes in steps of 10 ms, and an event takes 1 or 2 µs: so ten seconds."""
    options = {"no-gets": True, "events-per-second": 50_000} | {
        key.replace("_", "-"): value for key, value in load.items()
    }
    return Scenario(name, title, (OURS,), load=options, prefill=prefill, seconds=10)


CANONICAL: Final = Scenario(
    "canonical", "10 k endpoints of 300 B, all hits, window 1024", (*RESPONDERS, OURS_PURE, *ECHOES)
)
SCENARIOS: Final = (
    CANONICAL,
    Scenario("include", "include of 3 of 10 fields", RESPONDERS, load={"include": 3}, baseline=CANONICAL),
    _metadata(3_000, "3kB", 1024),
    _metadata(30_000, "30kB", 128),
    _endpoints(1_000, "1k", (OURS, "obvious")),
    _endpoints(100_000, "100k", (OURS, "responder-go")),
    _endpoints(1_000_000, "1M", (OURS,), CANONICAL),
    Scenario(
        "cold",
        "cold cache: every get a miss",
        (OURS, OURS_PYMONGO, "obvious", "responder-go", "responder-async-nats"),
        Dataset(endpoints=100_000),
        {"keys": "cycle"},
        {"cache": {"max_bytes": "64KiB"}},
        cache_entries=100,
        prefill=False,
    ),
    _window(1),
    _window(64),
    Scenario("open", "open loop, 20 k gets/s", (*RESPONDERS, *ECHOES), load={"rate": 20_000}),
    _storm("storm-other", "50 k events/s on other endpoints", "other"),
    _storm("storm-same", "50 k events/s of a stock service on the endpoints being read", "same"),
    _storm("storm-register", "50 k events/s of a register on the endpoints being read", "same", "register"),
    Scenario(
        "storm-numbered",
        "10 k real writes/s to the endpoints being read, with numbered events",
        (OURS,),
        Dataset(seed=4),  # its versions grow: the others' stay as they are
        changes_per_second=10_000,
        baseline=CANONICAL,
    ),
    _events("events", "50 k events/s, no gets"),
    _events(
        "events-register",
        "50 k events/s of a register on cached endpoints, no gets",
        prefill=True,
        events_on="same",
        events_of="register",
    ),
    Scenario(
        "flush",
        "the whole cache dropped at full load",
        (OURS,),
        load={"series-ms": 20, "flush-at": 1.5, "warmup": 2},
        seconds=5,
    ),
)


def quick(scenario: Scenario) -> Scenario:
    """The same on tiny input: whether it runs, not what it gives."""
    load = dict(scenario.load)
    for name, most in (("window", 64), ("rate", 2_000), ("events-per-second", 2_000)):
        if name in load:
            load[name] = min(load[name], most)
    load |= {"warmup": 0.1}
    if "flush-at" in load:
        load["flush-at"] = 0.1
    contenders = tuple(name for name in scenario.contenders if name in QUICK_CONTENDERS)
    dataset = replace(scenario.dataset, endpoints=min(scenario.dataset.endpoints, 500))
    changes = scenario.changes_per_second and 1_000
    return replace(
        scenario,
        load=load,
        contenders=contenders,
        dataset=dataset,
        seconds=0.6,
        changes_per_second=changes,
        baseline=quick(scenario.baseline) if scenario.baseline else None,
    )


QUICK_CONTENDERS: Final = (OURS, "obvious", "echo-natspy", "echo-c")
"""What needs no long build."""
