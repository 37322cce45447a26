"""Messages as tests make them: a naive Avro writer, and hypothesis strategies for good and bad payloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from kaa_epr.engine.api import Kind


def long(value: int) -> bytes:
    """A zigzag varint."""
    raw = (value << 1) ^ (value >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def string(text: str | bytes) -> bytes:
    """A length and the bytes of a text."""
    raw = text.encode() if isinstance(text, str) else text
    return long(len(raw)) + raw


def block(names: list[str], *, negative: bool = False, size: int | None = None) -> bytes:
    """One array block of strings; ``negative``: with its size in bytes, or the wrong one given."""
    items = b"".join(map(string, names))
    if negative:
        return long(-len(names)) + long(len(items) if size is None else size) + items
    return long(len(names)) + items


@dataclass(frozen=True)
class Get:
    """A get request; ``flag`` None is revision 1 or 2."""

    correlation_id: str = "c-1"
    timestamp: int = 1_700_000_000_000
    timeout: int = 0
    endpoint_id: str = "e-1"
    include: tuple[str, ...] = ()
    flag: bool | None = True
    blocks: tuple[bytes, ...] | None = field(default=None)
    """Blocks to write instead of one block of ``include``."""

    def encode(self) -> bytes:
        """The payload."""
        blocks = (
            self.blocks if self.blocks is not None else ((block(list(self.include)),) if self.include else ())
        )
        flag = b"" if self.flag is None else bytes([self.flag])
        head = string(self.correlation_id) + long(self.timestamp) + long(self.timeout)
        return head + string(self.endpoint_id) + b"".join(blocks) + b"\0" + flag


def keys_get(
    endpoint_id: str, correlation_id: str = "c-1", timestamp: int = 1_700_000_000_000, timeout: int = 0
) -> bytes:
    """A metadata keys get request."""
    return string(correlation_id) + long(timestamp) + long(timeout) + string(endpoint_id)


def app_versions(
    blocks: Sequence[bytes],
    correlation_id: str = "c-1",
    timestamp: int = 1_700_000_000_000,
    timeout: int = 0,
) -> bytes:
    """A request for the application versions of endpoints, which ``blocks`` name."""
    return string(correlation_id) + long(timestamp) + long(timeout) + b"".join(blocks) + b"\0"


EVENTS = tuple(kind for kind in Kind if not kind.is_request and kind is not Kind.HEARTBEAT)


def event_payload(kind: Kind, endpoint_id: str, tail: bytes = b"\x02r") -> bytes:
    """An event as far as endpointId, and ``tail``."""
    names = 2 if kind == Kind.APP_VERSION_UPDATED else 1
    return string("c") + long(1) + long(0) + string("v1") * names + string(endpoint_id) + tail


i64 = st.integers(-(2**63), 2**63 - 1)
texts = st.text(max_size=12)
keys = st.one_of(st.sampled_from(["a", "b", "serial", "é", "", 'q"\\', "\n"]), st.text(max_size=6))


# Made once: a strategy that is made anew for each example takes longer than what it draws.
_sizes = st.none() | i64
_flags = st.none() | st.booleans()
_timeouts = st.just(0) | i64
_timestamps = st.integers(0, 2**45) | i64
_changes = st.sampled_from(["set", "insert", "cut", "drop", "double"])
_junk = st.sampled_from([b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff" * 10]) | st.binary(max_size=4)
_includes = st.lists(st.lists(keys, min_size=1, max_size=4), max_size=4)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """An ``include`` in several blocks, some with negative counts and some of these with wrong sizes."""
    parts = draw(_includes)
    written = tuple(block(part, negative=draw(st.booleans()), size=draw(_sizes)) for part in parts)
    return tuple(name for part in parts for name in part), written


@st.composite
def gets(draw: st.DrawFn) -> Get:
    """A well-formed get of any revision, its include in any legal form."""
    include, written = draw(blocks())
    get = Get(
        correlation_id=draw(texts),
        timestamp=draw(_timestamps),
        timeout=draw(_timeouts),
        endpoint_id=draw(texts),
        include=include,
        flag=draw(_flags),
    )
    return replace(get, blocks=written)


@st.composite
def mutations(draw: st.DrawFn, payloads: st.SearchStrategy[bytes]) -> bytes:
    """A payload with some bytes changed, inserted, cut or doubled."""
    data = bytearray(draw(payloads))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        how = draw(_changes)
        junk = draw(_junk)
        if how == "set":
            data[at : at + len(junk)] = junk
        elif how == "insert":
            data[at:at] = junk
        elif how == "cut":
            del data[at:]
        elif how == "drop":
            del data[at : at + 1]
        else:
            data[at:at] = data[at : at + 8]
    return bytes(data)


def any_get() -> st.SearchStrategy[bytes]:
    """Payloads of gets: good, damaged, and noise."""
    good = gets().map(Get.encode)
    long_ids = st.builds(
        lambda get, size, which: replace(get, **{which: "é" * (size // 2) + "x" * (size % 2)}).encode(),
        gets(),
        st.integers(4094, 4100),
        st.sampled_from(["correlation_id", "endpoint_id"]),
    )
    return st.one_of(good, mutations(good), mutations(long_ids), long_ids, st.binary(max_size=40))


def any_keys_get() -> st.SearchStrategy[bytes]:
    """Payloads of metadata keys gets: good, damaged, and noise."""
    ids = texts | st.integers(4094, 4100).map(lambda size: "x" * size)
    good = st.builds(keys_get, ids, ids, i64, st.just(0) | i64)
    return st.one_of(good, mutations(good), any_get())


def any_app_versions() -> st.SearchStrategy[bytes]:
    """Payloads of requests for application versions: good, damaged, too large, and noise."""
    named = blocks().map(lambda both: both[1])
    many = st.integers(999, 1001).map(lambda count: (block(["e"] * count),))
    long_ids = st.integers(4094, 4100).map(lambda size: (block(["e", "x" * size]),))
    good = st.builds(app_versions, st.one_of(named, many, long_ids), texts, i64, st.just(0) | i64)
    return st.one_of(good, mutations(good), any_keys_get())


def any_request() -> st.SearchStrategy[tuple[Kind, bytes]]:
    """A request of any kind with a good, damaged or noisy payload."""
    return st.one_of(
        st.tuples(st.just(Kind.GET), any_get()),
        st.tuples(st.just(Kind.KEYS_GET), any_keys_get()),
        st.tuples(st.just(Kind.APP_VERSIONS), any_app_versions()),
    )


def any_event(endpoint_ids: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Kind, bytes]]:
    """Events with good, damaged and noisy payloads."""
    kinds = st.sampled_from(EVENTS)

    def payloads(kind: Kind) -> st.SearchStrategy[tuple[Kind, bytes]]:
        good = st.builds(event_payload, st.just(kind), endpoint_ids, st.binary(max_size=5))
        return st.tuples(st.just(kind), st.one_of(good, mutations(good), st.binary(max_size=20)))

    return kinds.flatmap(payloads)
