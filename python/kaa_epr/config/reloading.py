"""Which settings a running process takes over from a configuration read anew, and which need a restart."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from kaa_epr.config.mongo import MongoSettings
from kaa_epr.config.names import LEAVES, PathKey
from kaa_epr.config.settings import Settings

RELOADED: Final = (
    "nats.*",
    "mongo.uri",
    "mongo.username",
    "mongo.password",
    "mongo.auth_source",
    "mongo.tls.*",
    "log.level",
)
"""All below ``.*`` but ``nats.queue_group``; of ``mongo.uri`` only the user and the password."""
_OF_MONGO: Final = ("uri", "username", "password", "auth_source", "tls")
_USERINFO: Final = re.compile(r"(?<=//)[^/?]*@")


class TakenOver(NamedTuple):
    """What comes of a configuration read anew."""

    settings: Settings
    """Those that ran, with what can be taken over."""
    left: tuple[str, ...]
    """Keys that differ all the same: they need a restart."""


def take_over(running: Settings, wanted: Settings) -> TakenOver:
    """``running`` with all of ``wanted`` that a running process can take over."""
    settings = running.model_copy(
        update={
            "nats": wanted.nats.model_copy(update={"queue_group": running.nats.queue_group}),
            "mongo": _mongo(running.mongo, wanted.mongo),
            "log": running.log.model_copy(update={"level": wanted.log.level}),
        }
    )
    told, asked = settings.model_dump(by_alias=True), wanted.model_dump(by_alias=True)
    left = tuple(leaf.key for path, leaf in LEAVES.items() if _at(told, path) != _at(asked, path))
    return TakenOver(settings, left)


def _mongo(running: MongoSettings, wanted: MongoSettings) -> MongoSettings:
    # With other servers or options the credentials are for somebody else.
    if _without_user(running) != _without_user(wanted):
        return running
    return running.model_copy(update={name: getattr(wanted, name) for name in _OF_MONGO})


def _without_user(mongo: MongoSettings) -> str:
    return _USERINFO.sub("", mongo.uri.get_secret_value(), count=1)


def _at(tree: dict[str, Any], path: PathKey) -> Any:
    value: Any = tree
    for part in path:
        value = value[part]
    return value
