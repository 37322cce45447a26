"""Checks of untrusted Avro bytes, made before fastavro sees them: fastavro is laxer than the contract.

The verdicts, their order and their reason phrases are the table "Decoding a get" in ARCHITECTURE.md.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from kaa_epr.engine.pure.limits import MAX_ENDPOINT_IDS, MAX_ID_BYTES
from kaa_epr.errors import KaaEprError

_MAX_VARINT_BYTES: Final = 10
_I64_MIN: Final = -(1 << 63)


class Cause(Enum):
    """Why bytes are not what they should be; the value is the reasonPhrase of the answer."""

    TRUNCATED = "Malformed request: payload ends early"
    VARINT = "Malformed request: varint too long"
    NEGATIVE_LENGTH = "Malformed request: negative length"
    UTF8 = "Malformed request: invalid UTF-8"
    BLOCK_COUNT = "Malformed request: impossible block count"
    TRAILING = "Malformed request: unexpected trailing bytes"
    TOO_LONG = "Malformed request: identifier longer than 4096 bytes"
    TOO_MANY = "Malformed request: more than 1000 endpointIds"


class DecodeError(KaaEprError):
    """Bytes that do not decode: the cause, and the byte at which the offending item starts."""

    def __init__(self, cause: Cause, offset: int) -> None:
        super().__init__(cause, offset)
        self.cause = cause
        self.offset = offset

    def message(self) -> str:
        """The cause and where."""
        return f"{self.cause.value} (byte {self.offset})"


class Malformed(KaaEprError):
    """A request that does not decode, with what of it may be echoed: no identifiers if one is too long."""

    def __init__(
        self, error: DecodeError, correlation_id: str, endpoint_id: str, flag: bool | None = None
    ) -> None:
        super().__init__(error, correlation_id, endpoint_id, flag)
        short = not (too_long(correlation_id) or too_long(endpoint_id))
        self.error = error
        self.correlation_id = correlation_id if short else ""
        self.endpoint_id = endpoint_id if short else ""
        self.flag = flag
        """Whether the request has an includeMetadata byte (revision 3); None when that cannot be told."""

    def message(self) -> str:
        """What the decoder found."""
        return str(self.error)


class Reader:
    """Reads Avro items from ``data``, checking every length against what remains before using it."""

    __slots__ = ("_data", "pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.pos = 0

    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.pos

    def long(self) -> int:
        """A zigzag varint of at most 10 bytes and 64 bits."""
        start = self.pos
        raw = 0
        for index, byte in enumerate(self._data[start : start + _MAX_VARINT_BYTES]):
            raw |= (byte & 0x7F) << (7 * index)
            if index == _MAX_VARINT_BYTES - 1 and byte > 1:
                raise DecodeError(Cause.VARINT, start)
            if byte < 0x80:
                self.pos = start + index + 1
                return (raw >> 1) ^ -(raw & 1)
        raise DecodeError(Cause.TRUNCATED, start)

    def string(self) -> str:
        """A length and as many bytes of UTF-8."""
        start = self.pos
        length = self.long()
        if length < 0:
            raise DecodeError(Cause.NEGATIVE_LENGTH, start)
        if length > self.remaining():
            raise DecodeError(Cause.TRUNCATED, start)
        raw = self._data[self.pos : self.pos + length]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError(Cause.UTF8, start) from None
        self.pos += length
        return text

    def block(self) -> int:
        """The number of items in the next array block; 0 ends the array.

        A negative count is followed by the block's size in bytes, which must be a varint and is otherwise
        ignored (Avro 1.11, "Arrays"). An item has at least one byte, so a count beyond what remains is a lie.
        """
        start = self.pos
        count = self.long()
        if count == _I64_MIN:
            raise DecodeError(Cause.BLOCK_COUNT, start)
        if count < 0:
            count = -count
            self.long()
        if count > self.remaining():
            raise DecodeError(Cause.BLOCK_COUNT, start)
        return count

    def strings(self) -> list[str]:
        """An array of strings."""
        strings: list[str] = []
        while count := self.block():
            strings += [self.string() for _ in range(count)]
        return strings

    def end(self) -> None:
        """Nothing may follow."""
        if self.remaining():
            raise DecodeError(Cause.TRAILING, self.pos)


def check_get(payload: bytes) -> bool:
    """Checks a 19/EPMMP get request of any revision.

    Returns whether it ends with an includeMetadata byte (revision 3). Raises Malformed.
    """
    correlation_id = endpoint_id = ""
    reader = Reader(payload)
    flag: bool | None = None
    try:
        correlation_id = reader.string()
        reader.long()
        reader.long()
        endpoint_id = reader.string()
        reader.strings()
        flag = _check_end(payload, reader.pos)
        _check_lengths(correlation_id, endpoint_id)
    except DecodeError as error:
        raise Malformed(error, correlation_id, endpoint_id, flag) from None
    return flag


def check_keys_get(payload: bytes) -> None:
    """Checks a 19/EPMMP metadata keys get request. Raises Malformed."""
    correlation_id = endpoint_id = ""
    reader = Reader(payload)
    try:
        correlation_id = reader.string()
        reader.long()
        reader.long()
        endpoint_id = reader.string()
        reader.end()
        _check_lengths(correlation_id, endpoint_id)
    except DecodeError as error:
        raise Malformed(error, correlation_id, endpoint_id) from None


def check_app_versions(payload: bytes) -> None:
    """Checks a 19/EPMMP request for application versions. Raises Malformed."""
    correlation_id = ""
    reader = Reader(payload)
    try:
        correlation_id = reader.string()
        reader.long()
        reader.long()
        start = reader.pos
        ids = reader.strings()
        reader.end()
        _check_lengths(correlation_id)
        if len(ids) > MAX_ENDPOINT_IDS:
            raise DecodeError(Cause.TOO_MANY, start)
        _check_lengths(*ids)
    except DecodeError as error:
        raise Malformed(error, correlation_id, "") from None


def check_event(payload: bytes, names_before_id: int) -> None:
    """Checks an event as far as its endpointId; what follows is not looked at.

    All events that the engine hears start with correlationId, timestamp and timeout; ``names_before_id``
    strings stand between these and endpointId. Raises DecodeError.
    """
    reader = Reader(payload)
    reader.string()
    reader.long()
    reader.long()
    for _ in range(names_before_id + 1):
        reader.string()


def too_long(text: str) -> bool:
    """Whether ``text`` is over the bound of what is echoed."""
    return len(text) > MAX_ID_BYTES or len(text.encode("utf-8")) > MAX_ID_BYTES


def _check_lengths(*identifiers: str) -> None:
    if any(map(too_long, identifiers)):
        raise DecodeError(Cause.TOO_LONG, 0)


def _check_end(payload: bytes, pos: int) -> bool:
    """Tells revision 3 (one byte 0 or 1) from 1 and 2 (nothing)."""
    end = payload[pos:]
    if end and end not in (b"\x00", b"\x01"):
        raise DecodeError(Cause.TRAILING, pos)
    return bool(end)
