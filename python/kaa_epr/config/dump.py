"""Settings as people may see them: every secret masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from kaa_epr.config.masking import MASK, mask_userinfo
from kaa_epr.config.names import LEAVES, PathKey
from kaa_epr.config.settings import Settings

_URI: Final[PathKey] = ("mongo", "uri")
_SERVERS: Final[PathKey] = ("nats", "servers")
_APPLICATIONS: Final[PathKey] = ("kaa", "applications")


def mask_mongo_uri(uri: str) -> str:
    """A MongoDB URI without user, password and options (some of which are secrets)."""
    address, options, _ = mask_userinfo(uri).partition("?")
    return f"{address}?{MASK}" if options else address


def dump(settings: Settings) -> dict[str, Any]:
    """All settings as plain values that JSON and YAML have, secrets masked."""
    tree = settings.model_dump(mode="json", by_alias=True)
    masked = _masked_group(tree, ())
    masked["mongo"]["uri"] = mask_mongo_uri(settings.mongo.uri.get_secret_value())
    return masked


def dump_yaml(settings: Settings) -> str:
    """The same as YAML; without secrets and extras it can be loaded again."""
    return str(yaml.safe_dump(dump(settings), sort_keys=False, allow_unicode=True))


def _masked_group(tree: Mapping[str, Any], path: PathKey) -> dict[str, Any]:
    return {key: _masked(value, (*path, key)) for key, value in tree.items()}


def _masked(value: Any, path: PathKey) -> Any:
    leaf = LEAVES.get(path)
    if path == _SERVERS:
        return [mask_userinfo(str(server)) for server in value]
    if path == _APPLICATIONS:
        return {name: _masked_application(application) for name, application in value.items()}
    if leaf is not None and leaf.mapping:
        return value
    if isinstance(value, dict):
        return _masked_group(value, path)
    if leaf is None or (leaf.secret and value is not None):
        # No setting describes it: a value of another Kaa service, for all we know a secret.
        return MASK
    return value


def _masked_application(application: Mapping[str, Any]) -> dict[str, Any]:
    versions = {name: version and _hidden(version) for name, version in application["versions"].items()}
    return {key: _hidden(value) for key, value in application.items()} | {"versions": versions}


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(below) for key, below in value.items()}
    return MASK
