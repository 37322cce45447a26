"""What NATS servers and their clients authenticate with: certificates, nkeys, JWTs. Made for one test."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys
import trustme

_PREFIXES = {"operator": nkeys.PREFIX_BYTE_OPERATOR, "account": nkeys.PREFIX_BYTE_ACCOUNT}


@dataclass(frozen=True)
class Key:
    """An nkey."""

    seed: str
    public: str


def new_key(kind: str) -> Key:
    """A fresh key of an ``operator``, an ``account`` or a ``user``."""
    prefix = _PREFIXES.get(kind, nkeys.PREFIX_BYTE_USER)
    seed = nkeys.encode_seed(secrets.token_bytes(32), prefix)
    return Key(bytes(seed).decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())


def _segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(issuer: Key, subject: Key, name: str, nats: dict[str, Any]) -> str:
    """A NATS JWT, version 2 (ADR-14): what ``issuer`` says of ``subject``."""
    claims: dict[str, Any] = {"iat": 1_700_000_000, "iss": issuer.public, "name": name, "sub": subject.public}
    claims["nats"] = {**nats, "version": 2}
    claims["jti"] = (
        base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
    )
    head = _segment(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    text = f"{head}.{_segment(json.dumps(claims).encode())}"
    signature = nkeys.from_seed(bytearray(issuer.seed.encode())).sign(text.encode())
    return f"{text}.{_segment(signature)}"


_ACCOUNT = {
    "type": "account",
    "limits": {
        **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
        "wildcards": True,
    },
}
_USER = {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}


def operator_mode(directory: Path) -> tuple[list[str], Path]:
    """Configuration of a server that trusts one operator, and the credentials file of a user."""
    operator, account, user = new_key("operator"), new_key("account"), new_key("user")
    lines = [
        f"operator: {jwt(operator, operator, 'O', {'type': 'operator'})}",
        "resolver: MEMORY",
        f"resolver_preload: {{ {account.public}: {jwt(operator, account, 'A', _ACCOUNT)} }}",
    ]
    credentials = directory / "user.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt(account, user, 'U', _USER)}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return lines, credentials


class Certificates:
    """A certificate authority and what it issued, as PEM files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        """A certificate and its key, for these host names or addresses; replaces those of the same name."""
        issued = self.authority.issue_cert(*identities, common_name=name)
        cert, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def server_lines(self, *, mutual: bool = False, first: bool = False) -> list[str]:
        """The ``tls`` block of a server on loopback."""
        cert, key = self.issue("server", "127.0.0.1", "localhost")
        more = f'ca_file: "{self.ca_file}", verify: true' if mutual else ""
        return [
            f'tls {{ cert_file: "{cert}", key_file: "{key}", {"handshake_first: true," * first} {more} }}'
        ]
