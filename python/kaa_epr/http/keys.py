"""The keys of a JSON Web Key Set (RFC 7517) that signatures are checked with, and which tokens each fits.

Public keys only, each for the algorithms of its own kind: no token chooses how a key is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MAX_KEYS: Final = 64
"""Of one set. A token without key ID is tried with each that fits."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518, 3.3."""
MAX_RSA_BITS: Final = 8192
"""A check takes longer with every bit."""
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""What makes a public key of each type."""
_READERS: Final[Mapping[str, Callable[[dict[str, Any]], object]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}


@dataclass(frozen=True, slots=True)
class Key:
    """One that can be used."""

    key_id: str | None
    algorithms: frozenset[str]
    """Signatures that it may check."""
    public: PublicKey


class KeySet:
    """The keys of one document. ``skipped``: keys in it that are for something else, or unknown."""

    def __init__(self, keys: Sequence[Key] = (), skipped: int = 0) -> None:
        self._keys = tuple(keys)
        self.skipped = skipped

    def __len__(self) -> int:
        return len(self._keys)

    def fitting(self, key_id: str | None, algorithm: str) -> list[Key]:
        """Keys that may have signed: those of this ID, which several may have; without an ID, any."""
        return [
            key
            for key in self._keys
            if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)
        ]


def parse(data: bytes) -> KeySet:
    """Reads a document. Raises ValueError for what is no key set, or has no key that can be used."""
    found = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    if not isinstance(found, dict) or not isinstance(entries := found.get("keys"), list):
        raise ValueError("not a JSON Web Key Set")
    if not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("a key is not an object")
    if len(entries) > MAX_KEYS:
        raise ValueError("too many keys")
    keys = [key for entry in entries if (key := _key(entry)) is not None]
    if not keys:
        raise ValueError("no key can be used")
    return KeySet(keys, len(entries) - len(keys))


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("a name comes twice")
        members[name] = value
    return members


def _refuse_constant(_name: str) -> None:
    raise ValueError("not JSON")


def _key(entry: Mapping[str, Any]) -> Key | None:
    """None for a key of an unknown type, for another use, or that must not be public."""
    key_id = entry.get("kid")
    if not (key_id is None or isinstance(key_id, str)) or not _is_for_checking(entry):
        return None
    public = _public(entry)
    if public is None:
        return None
    algorithms = _algorithms(public)
    if (only := entry.get("alg")) is not None:
        algorithms &= {only} if isinstance(only, str) else set()
    return Key(key_id, algorithms, public) if algorithms else None


def _is_for_checking(entry: Mapping[str, Any]) -> bool:
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return False
    operations = entry.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _public(entry: Mapping[str, Any]) -> PublicKey | None:
    kind = entry.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        return None
    members = {name: entry.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in members.values()):
        return None
    try:
        key = _READERS[kind]({"kty": kind, **members})
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PublicKey) else None


def _algorithms(key: PublicKey) -> frozenset[str]:
    if isinstance(key, RSAPublicKey):
        return _RSA if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else frozenset()
    if isinstance(key, EllipticCurvePublicKey):
        return frozenset({_CURVES[key.curve.name]} if key.curve.name in _CURVES else ())
    return frozenset({"EdDSA"})
