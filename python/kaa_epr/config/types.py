"""The value types of settings, and the base class of every group of settings.

A ``ValueError`` raised here is worded as what was expected ("a size such as 256MiB"), since the loader puts
the key, the value and the place in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kaa_epr.config.masking import mask_userinfo

_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_UNITS_BY_LOWER: Final = {unit.lower(): factor for unit, factor in _SIZE_UNITS.items()}
_SIZE: Final = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-zA-Z]*)\s*")
_NATS_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})
_TOKEN: Final = re.compile(r"[!-~]+")
_WEB_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+(?:/[A-Za-z0-9._~%-]+)*")
_MAX_NAME: Final = 128
"""Characters of an instance or replica name: subjects that contain it stay far below NATS's line limit."""


class Conflict(NamedTuple):
    """Two settings of one group that do not go together."""

    key: str
    """Key inside the group, dotted where nested."""
    expected: str


class ConflictError(ValueError):
    """Raised inside a group's validation with everything that does not go together in it."""

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        super().__init__("; ".join(f"{key}: {expected}" for key, expected in conflicts))
        self.conflicts = conflicts


class Group(BaseModel):
    """One group of settings: immutable, no unknown keys, inputs never shown by pydantic itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def _conflicts(self) -> Iterator[Conflict]:
        """What does not go together, once each value is fine by itself."""
        return iter(())

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> Self:
        found = tuple(self._conflicts())
        if found:
            raise ConflictError(found)
        return self


def parse_size(value: Any) -> Any:
    """Bytes from ``268435456`` or ``"256MiB"`` (kB, MB, GB are powers of 1000; KiB, MiB, GiB of 1024)."""
    if isinstance(value, bool):
        raise ValueError("a size in bytes such as 268435456 or 256MiB")
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    factor = _UNITS_BY_LOWER.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(
            f"a size such as 268435456 or 256MiB; units: {', '.join(u for u in _SIZE_UNITS if u)}"
        )
    return int(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor


def _no_boolean(value: Any) -> Any:
    # pydantic takes True for 1, and YAML takes `on`, `yes` and the like for True.
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def one_token(value: str) -> str:
    """A name that is one token of a NATS subject: no blanks, dots, wildcards or control characters."""
    if not _TOKEN.fullmatch(value) or any(c in value for c in ".*>"):
        raise ValueError("one NATS subject token: printable ASCII without blanks and without . * >")
    if len(value) > _MAX_NAME:
        raise ValueError(f"at most {_MAX_NAME} characters")
    return value


def token_or_any(value: str) -> str:
    """One token of a NATS subject, or ``*`` for any."""
    return value if value == "*" else one_token(value)


class ServerUrl(str):
    """A NATS server's URL whose ``repr`` hides user and password; ``str`` is the URL itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_userinfo(str(self)))


def parse_server(value: str) -> ServerUrl:
    """``host``, ``host:port`` or a URL with one of the schemes nats, tls, ws, wss."""
    text = value.strip()
    url = text if "://" in text else f"nats://{text}"
    expected = "a NATS server such as nats://host:4222 (schemes nats, tls, ws, wss; IPv6 in brackets)"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _NATS_SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        # from None: urllib quotes parts of the URL, which may hold a password.
        raise ValueError(expected) from None
    if not valid or re.search(r"\s", url):
        raise ValueError(expected)
    return ServerUrl(url)


def web_url(value: str) -> str:
    """An absolute URL of http or https without a slash at its end; no user, query or fragment."""
    expected = "a URL such as https://kaa.example.com/epr, with no slash at its end, user, query or fragment"
    try:
        valid = _WEB_URL.fullmatch(value) and urlsplit(value).hostname and urlsplit(value).port != 0
    except ValueError:
        raise ValueError(expected) from None
    if not valid:
        raise ValueError(expected)
    return value


def split_list(value: Any) -> Any:
    """A list from ``a,b`` as Kaa's ``nats.urls`` and environment variables write it."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def file_path(path: Path) -> Path:
    """The file that is meant: ``~`` is somebody's home."""
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError("a file name; no such user has a home here") from None
    if "\0" in str(expanded):
        raise ValueError("a file name, which has no NUL")
    return expanded


Count = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1, le=2**31 - 1)]
Rate = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=1000)]
"""Times a second; 0: never. At most what one call of the engine's ``sample`` gives."""
Port = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=65_535)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, le=2**46)]
Seconds = Annotated[float, BeforeValidator(_no_boolean), Field(ge=0.001, le=31_536_000, allow_inf_nan=False)]
"""A duration in seconds: from one millisecond (the engine's unit) to a year."""
SecondsOrZero = Annotated[
    float, BeforeValidator(_no_boolean), Field(ge=0, le=31_536_000, allow_inf_nan=False)
]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Token = Annotated[str, AfterValidator(one_token)]
TokenOrAny = Annotated[str, AfterValidator(token_or_any)]
File = Annotated[Path, AfterValidator(file_path)]
Servers = Annotated[
    tuple[Annotated[str, AfterValidator(parse_server)], ...],
    BeforeValidator(split_list),
    Field(min_length=1, max_length=64),
]
Originators = Annotated[
    tuple[TokenOrAny, ...], BeforeValidator(split_list), Field(min_length=1, max_length=64)
]
