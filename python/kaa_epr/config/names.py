"""Which keys exist: derived from the settings models, plus the names that Kaa's own services use."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kaa_epr.config.settings import Settings
from kaa_epr.config.types import Group

PathKey = tuple[str, ...]
FILE_SUFFIX: Final = "_file"
"""``nats.password_file`` names a file that holds ``nats.password``; so for every secret."""


class Leaf(NamedTuple):
    """One setting."""

    path: PathKey
    field: FieldInfo
    secret: bool
    file: bool
    mapping: bool
    """Its value is a mapping, whose names are no settings."""

    @property
    def key(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


KAA_NAMES: Final[Mapping[PathKey, PathKey]] = {
    ("nats", "urls"): ("nats", "servers"),
    ("nats", "username"): ("nats", "user"),
    ("service", "instance", "name"): ("service", "instance_name"),
    ("service", "instance", "replica", "id"): ("service", "replica_id"),
    ("spring", "data", "mongodb", "uri"): ("mongo", "uri"),
    ("spring", "data", "mongodb", "database"): ("mongo", "database"),
    ("spring", "data", "mongodb", "username"): ("mongo", "username"),
    ("spring", "data", "mongodb", "password"): ("mongo", "password"),
    ("spring", "data", "mongodb", "authentication-database"): ("mongo", "auth_source"),
}
"""Keys of Kaa's configuration files, and ours for the same thing."""

KAA_ENVIRONMENT: Final[Mapping[str, PathKey]] = {
    "INSTANCE_NAME": ("service", "instance_name"),
    "NATS_URLS": ("nats", "servers"),
    "NATS_USERNAME": ("nats", "user"),
    "NATS_PASSWORD": ("nats", "password"),
    "KAA_TEKTON_ENABLED": ("kaa", "tekton", "enabled"),
    "KAA_TEKTON_URL": ("kaa", "tekton", "url"),
}
"""Environment variables of Kaa's containers; ours win over them."""

KAA_IGNORED: Final[frozenset[PathKey]] = frozenset(
    {
        ("server",),
        ("security",),
        ("endpoints",),
        ("logging",),
        ("spring",),
        ("management", "security"),
    }
)
"""Sections of Kaa's (Spring Boot's) files that mean nothing here; they are accepted and reported."""

_REFUSED: Final[PathKey] = ("spring", "data")
"""Not ignored in spite of ``spring``: dropping a database address silently would use the wrong database."""


def _leaf_types(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaf_types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _leaf_types(member)
    else:
        yield annotation


def _walk(model: type[Group], path: PathKey) -> Iterator[Leaf | PathKey]:
    for name, field in model.model_fields.items():
        below = (*path, field.alias or name)
        kinds = list(_leaf_types(field.annotation))
        group = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Group)), None)
        if group is None:
            mapping = any(get_origin(kind) is dict for kind in kinds)
            yield Leaf(below, field, secret=SecretStr in kinds, file=Path in kinds, mapping=mapping)
        else:
            yield below
            yield from _walk(group, below)


_ALL: Final = tuple(_walk(Settings, ()))
LEAVES: Final[Mapping[PathKey, Leaf]] = {item.path: item for item in _ALL if isinstance(item, Leaf)}
GROUPS: Final[frozenset[PathKey]] = frozenset(item for item in _ALL if not isinstance(item, Leaf))
OPEN: Final[PathKey] = ("kaa",)
"""Below this every key is taken, since Kaa's services share the section."""


def is_open(path: PathKey) -> bool:
    """Whether ``path`` lies in Kaa's own section, where keys of other services are kept."""
    return path[: len(OPEN)] == OPEN and path not in LEAVES and path not in GROUPS


def is_in_mapping(path: PathKey) -> bool:
    """Whether ``path`` is a name in a setting that is a mapping, or lies below one."""
    above = (path[:length] for length in range(1, len(path)))
    return any(prefix in LEAVES and LEAVES[prefix].mapping for prefix in above)


def is_ignored(path: PathKey) -> PathKey | None:
    """The section of another kind of service that ``path`` belongs to, or None."""
    if path[: len(_REFUSED)] == _REFUSED:
        return None
    sections = (path[:length] for length in (1, 2))
    return next((section for section in sections if section in KAA_IGNORED), None)


def secret_of_file(path: PathKey) -> PathKey | None:
    """The secret whose file ``path`` names, or None."""
    if path in LEAVES or not path or not path[-1].endswith(FILE_SUFFIX):
        return None
    named = (*path[:-1], path[-1].removesuffix(FILE_SUFFIX))
    named = KAA_NAMES.get(named, named)
    leaf = LEAVES.get(named)
    return named if leaf is not None and leaf.secret else None


def nearest(path: PathKey) -> str | None:
    """The known key that someone who wrote ``path`` most likely meant."""
    known = [".".join(candidate) for candidate in (*LEAVES, *GROUPS, *KAA_NAMES)]
    wanted = ".".join(path).lower().replace("-", "_")
    if close := difflib.get_close_matches(wanted, known, n=1, cutoff=0.75):
        return close[0]
    same_end = [key for key in known if key.rpartition(".")[2] == path[-1].lower().replace("-", "_")]
    return same_end[0] if len(same_end) == 1 else None
