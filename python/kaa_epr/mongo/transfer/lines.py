"""One line of JSON ↔ one endpoint, both ways without loss."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import bson

from kaa_epr.config.mongo import MongoFields
from kaa_epr.mongo.documents import DocumentInvalid, Endpoint, check_endpoint
from kaa_epr.mongo.extjson import EXACT, from_plain, holds_special, to_plain

_KNOWN: Final = (
    "endpointId",
    "application",
    "appVersion",
    "applicationVersion",
    "endpointToken",
    "metadata",
)
_LINE: Final = "line"
"""What is named as wrong when no single field is."""


def parse_line(line: bytes) -> Endpoint:
    """The endpoint that a line describes, checked as far as it can be without the store.

    Raises ``DocumentInvalid``: which field is wrong, and why.
    """
    content = _object(line)
    unknown = next((name for name in content if name not in _KNOWN), None)
    if unknown is not None:
        raise DocumentInvalid(_LINE, f"unknown field {unknown[:64]!a}; known are {', '.join(_KNOWN)}")
    if "endpointId" not in content:
        raise DocumentInvalid("endpointId", "is missing")
    metadata = content.get("metadata", {})
    if not isinstance(metadata, dict):
        raise DocumentInvalid("metadata", "is not an object")
    endpoint = Endpoint(
        id=_string(content, "endpointId") or "",
        application=_string(content, "application"),
        application_version=_application_version(content),
        endpoint_token=_string(content, "endpointToken"),
        metadata={key: from_plain(value, f"metadata.{key}") for key, value in metadata.items()},
    )
    check_endpoint(endpoint)
    return endpoint


def format_line(endpoint: Endpoint) -> str:
    """The line that ``parse_line`` makes the same endpoint of, without a line end.

    Raises ``DocumentInvalid`` where none does: a stored sub-document that reads as Extended JSON but is none,
    or a document that we would not store.
    """
    check_endpoint(endpoint)
    content: dict[str, Any] = {"endpointId": endpoint.id}
    if endpoint.application is not None:
        content["application"] = endpoint.application
    if endpoint.application_version is not None:
        content["appVersion"] = {"name": endpoint.application_version}
    if endpoint.endpoint_token is not None:
        content["endpointToken"] = endpoint.endpoint_token
    content["metadata"] = {key: to_plain(value) for key, value in endpoint.metadata.items()}
    for key, value in endpoint.metadata.items():
        if holds_special(value):
            _check_comes_back(key, value, content["metadata"][key])
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def stored_endpoint(document: bytes, fields: MongoFields) -> Endpoint | None:
    """The endpoint in a stored document, foreign ones included; None for a tombstone.

    Raises ``DocumentInvalid`` when there is none in it, and ``BSONError`` for invalid BSON.
    """
    content = bson.decode(document, EXACT)
    if content.get(fields.deleted_at) is not None:
        return None
    return Endpoint(
        id=_string(content, fields.id) or "",
        application=_string(content, "application"),
        application_version=_string(content, fields.application_version),
        endpoint_token=_string(content, "endpoint_token"),
        metadata=_stored_metadata(content.get(fields.metadata)),
    )


def _stored_metadata(stored: Any) -> Mapping[str, Any]:
    if stored is None:
        return {}
    if isinstance(stored, dict):
        return stored
    if not isinstance(stored, list):
        raise DocumentInvalid("metadata", "is neither an array nor a document")
    metadata: dict[str, Any] = {}
    for index, item in enumerate(stored):
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            raise DocumentInvalid(f"metadata.{index}", "is not a {key, value} document")
        # A key stored twice shows its last value at its first place, which is what a dict does.
        metadata[item["key"]] = item.get("value")
    return metadata


def _check_comes_back(key: str, value: Any, plain: Any) -> None:
    path = f"metadata.{key}"
    if bson.encode({"": from_plain(plain, path)}) != bson.encode({"": value}):
        raise DocumentInvalid(path, "reads as Extended JSON but is a document with $ in its field names")


def _object(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(
            line.decode(), object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse
        )
    except UnicodeDecodeError as error:
        raise DocumentInvalid(_LINE, f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise DocumentInvalid(_LINE, f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise DocumentInvalid(_LINE, "nested too deeply") from None
    except ValueError:
        # Python refuses integers of thousands of digits.
        raise DocumentInvalid(_LINE, "a number is out of range") from None
    if not isinstance(content, dict):
        raise DocumentInvalid(_LINE, "not a JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise DocumentInvalid(_LINE, f"the name {twice[:64]!a} stands twice in one object")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise DocumentInvalid(_LINE, "a number is out of range")
    return number


def _refuse(constant: str) -> NoReturn:
    raise DocumentInvalid(_LINE, f'{constant} is not JSON; write {{"$numberDouble": "{constant}"}}')


def _string(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    # By class: Code is a str, and not what is meant here.
    if value is not None and type(value) is not str:
        raise DocumentInvalid(name, "is not a string")
    return value


def _application_version(content: Mapping[str, Any]) -> str | None:
    plain = _string(content, "applicationVersion")
    app_version = content.get("appVersion")
    if app_version is None:
        return plain
    if not isinstance(app_version, dict) or list(app_version) != ["name"]:
        raise DocumentInvalid("appVersion", 'is not an object such as {"name": "…"}')
    name = _string(app_version, "name")
    if plain is not None and plain != name:
        raise DocumentInvalid("applicationVersion", "differs from appVersion.name")
    return name
