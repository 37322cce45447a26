"""A checked reader of bare Avro datums that says where and in which field the bytes go wrong.

For people (`kaa-epr decode`) and for the client, which must not trust what arrives; the responder's engines
have their own decoders. Stricter than fastavro: lengths, counts, indexes and UTF-8 are checked before use, no
allocation is sized by an unchecked number, and the datum must end where the bytes end. Array and map blocks
may come with negative counts (Avro 1.11, "Arrays"); their byte size is read and ignored, as Java's decoder
does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kaa_epr.errors import KaaEprError

MAX_DATUM_BYTES: Final = 64 * 1024 * 1024
"""No NATS server passes a larger payload (its ceiling for ``max_payload``)."""

_INT32: Final = range(-(2**31), 2**31)
_INT64: Final = range(-(2**63), 2**63)


class AvroError(KaaEprError):
    """Bytes that are no datum of the schema: what is wrong, at which byte, in which field."""

    def __init__(self, cause: str, offset: int, field: str = "") -> None:
        super().__init__(cause, offset, field)
        self.cause = cause
        self.offset = offset
        self.field = field

    def message(self) -> str:
        """Say what is wrong, at which byte, in which field."""
        where = f" in field {self.field}" if self.field else ""
        return f"{self.cause} at byte {self.offset}{where}"

    def within(self, name: str) -> AvroError:
        """The same error seen from the record that holds ``name``."""
        inner = self.field
        joined = f"{name}{inner}" if inner.startswith("[") else f"{name}.{inner}" if inner else name
        return type(self)(self.cause, self.offset, joined)


class TooManyItems(AvroError):
    """An array of more items than its reader takes; nothing behind them was looked at."""


class Cursor:
    """Bytes and how far they were read."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data)
        self.pos = 0


Read: TypeAlias = Callable[[Cursor], Any]


class Datum:
    """A schema made ready to read datums by."""

    __slots__ = ("_read", "name")

    def __init__(self, schema: dict[str, Any], max_items: int = _INT32.stop) -> None:
        """``max_items``: of each array; one with more raises ``TooManyItems`` before they are read."""
        namespace = schema.get("namespace")
        self.name: str = f"{namespace}.{schema['name']}" if namespace else schema["name"]
        self._read = _reader(schema, max_items)

    def decode(self, data: bytes) -> dict[str, Any]:
        """The whole of ``data`` as one record; raises ``AvroError``."""
        if len(data) > MAX_DATUM_BYTES:
            raise AvroError(f"more than {MAX_DATUM_BYTES} bytes", MAX_DATUM_BYTES)
        cursor = Cursor(data)
        value: dict[str, Any] = self._read(cursor)
        if cursor.pos != cursor.end:
            raise AvroError(f"{cursor.end - cursor.pos} unexpected trailing bytes", cursor.pos)
        return value


def read_long(cursor: Cursor) -> int:
    """One zigzag varint of at most 64 bits."""
    start = pos = cursor.pos
    data, value, shift = cursor.data, 0, 0
    while True:
        if pos >= cursor.end:
            raise AvroError("payload ends early", start)
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise AvroError("varint too long", start)
    if value >> 64:
        raise AvroError("varint too long", start)
    cursor.pos = pos
    return (value >> 1) ^ -(value & 1)


def read_bytes(cursor: Cursor) -> bytes:
    """A length and as many bytes."""
    start = cursor.pos
    size = read_long(cursor)
    if size < 0:
        raise AvroError("negative length", start)
    first = cursor.pos
    if size > cursor.end - first:
        raise AvroError("payload ends early", start)
    cursor.pos = first + size
    return cursor.data[first : cursor.pos]


def read_string(cursor: Cursor) -> str:
    """A length and as many bytes of UTF-8."""
    start = cursor.pos
    try:
        return str(read_bytes(cursor), "utf-8")
    except UnicodeDecodeError:
        raise AvroError("invalid UTF-8", start) from None


def _read_int(cursor: Cursor) -> int:
    start = cursor.pos
    value = read_long(cursor)
    if value not in _INT32:
        raise AvroError("int beyond 32 bits", start)
    return value


def _read_boolean(cursor: Cursor) -> bool:
    pos = cursor.pos
    if pos >= cursor.end:
        raise AvroError("payload ends early", pos)
    byte = cursor.data[pos]
    if byte > 1:
        raise AvroError("boolean that is neither 0 nor 1", pos)
    cursor.pos = pos + 1
    return byte == 1


def _read_null(_: Cursor) -> None:
    return None


_PRIMITIVES: Final[dict[str, Read]] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "int": _read_int,
    "long": read_long,
    "bytes": read_bytes,
    "string": read_string,
}


def _reader(schema: Any, max_items: int) -> Read:
    """The reader of a schema; ValueError for a type that no Kaa message uses (float, enum, fixed, names)."""
    if isinstance(schema, str) and schema in _PRIMITIVES:
        return _PRIMITIVES[schema]
    if isinstance(schema, list):
        return _union([_reader(branch, max_items) for branch in schema])
    if isinstance(schema, dict):
        match schema["type"]:
            case "record":
                fields = schema["fields"]
                return _record([(field["name"], _reader(field["type"], max_items)) for field in fields])
            case "array":
                return _array(_reader(schema["items"], max_items), max_items)
            case "map":
                return _map(_reader(schema["values"], max_items))
            case inner:
                return _reader(inner, max_items)
    raise ValueError(f"Avro type not supported: {schema!r}")


def _record(fields: list[tuple[str, Read]]) -> Read:
    def read(cursor: Cursor) -> dict[str, Any]:
        value = {}
        name = ""
        try:
            for name, read_field in fields:
                value[name] = read_field(cursor)
        except AvroError as error:
            raise error.within(name) from None
        return value

    return read


def _union(branches: list[Read]) -> Read:
    def read(cursor: Cursor) -> Any:
        start = cursor.pos
        index = read_long(cursor)
        if not 0 <= index < len(branches):
            raise AvroError(f"union index {index} of {len(branches)} branches", start)
        return branches[index](cursor)

    return read


def _block_count(cursor: Cursor) -> int:
    """Items of the next block, 0 at the end. Every item of our schemas takes at least one byte."""
    start = cursor.pos
    count = read_long(cursor)
    if count < 0:
        if count == _INT64.start:
            raise AvroError("impossible block count", start)
        read_long(cursor)  # the block's size in bytes
        count = -count
    if count > cursor.end - cursor.pos:
        raise AvroError("impossible block count", start)
    return count


def _array(read_item: Read, max_items: int) -> Read:
    def read(cursor: Cursor) -> list[Any]:
        items: list[Any] = []
        try:
            while count := _block_count(cursor):
                if len(items) + count > max_items:
                    raise TooManyItems(f"more than {max_items} items", cursor.pos)
                for _ in range(count):
                    items.append(read_item(cursor))  # noqa: PERF401 - the error needs the index
        except AvroError as error:
            raise error.within(f"[{len(items)}]") from None
        return items

    return read


def _map(read_value: Read) -> Read:
    def read(cursor: Cursor) -> dict[str, Any]:
        items: dict[str, Any] = {}
        try:
            while count := _block_count(cursor):
                for _ in range(count):
                    key = read_string(cursor)
                    items[key] = read_value(cursor)
        except AvroError as error:
            raise error.within(f"[{len(items)}]") from None
        return items

    return read
