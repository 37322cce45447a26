"""Key sets: which keys are used, for which signatures, and that no token can have a key used otherwise."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from kaa_epr.config.register import Algorithm, SecuritySettings
from kaa_epr.http.auth import Authenticator, Principal, Unauthorized
from kaa_epr.http.keys import MAX_KEYS, parse

ALL: Final[tuple[Algorithm, ...]] = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
RSA: Final = rsa.generate_private_key(65537, 2048)
WEAK: Final = rsa.generate_private_key(65537, 1024)
CURVES: Final = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED25519: Final = ed25519.Ed25519PrivateKey.generate()
PRIVATE: Final[dict[str, Any]] = {
    **dict.fromkeys(ALL[:6], RSA),
    **CURVES,
    "EdDSA": ED25519,
}


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """The public key; a member that is None is left out."""
    public = private.public_key()
    maker: Any = RSAAlgorithm if isinstance(public, rsa.RSAPublicKey) else OKPAlgorithm
    if isinstance(public, ec.EllipticCurvePublicKey):
        maker = ECAlgorithm
    made = {name: value for name, value in maker.to_jwk(public, as_dict=True).items() if name != "key_ops"}
    return {name: value for name, value in {**made, **members}.items() if value is not None}


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def token(algorithm: str, private: Any, kid: str | None = "k", **headers: Any) -> str:
    claims = {"iss": "i", "aud": "a", "exp": int(time.time()) + 60, "scope": "read write", "sub": "alice"}
    more = {**({} if kid is None else {"kid": kid}), **headers}
    return jwt.encode(claims, private, algorithm=algorithm, headers=more)


async def principal(
    tmp_path: Path, keys: bytes, bearer: str, algorithms: tuple[Algorithm, ...] = ALL
) -> Principal | None:
    file = tmp_path / "keys.json"
    file.write_bytes(keys)
    settings = SecuritySettings(jwks=str(file), issuer="i", audience="a", algorithms=algorithms)
    return await Authenticator(settings, Counter()).check(f"Bearer {bearer}", "read")


@pytest.mark.parametrize("algorithm", ALL)
async def test_a_key_without_alg_checks_all_signatures_of_its_kind(tmp_path: Path, algorithm: str) -> None:
    private = PRIVATE[algorithm]
    found = await principal(tmp_path, document(jwk(private, kid="k")), token(algorithm, private))
    assert found == Principal("sub:alice", "alice", "i", frozenset({"read", "write"}), None)


@pytest.mark.parametrize("algorithm", ALL)
async def test_only_what_is_configured_is_accepted(tmp_path: Path, algorithm: str) -> None:
    private = PRIVATE[algorithm]
    others = tuple(other for other in ALL if other != algorithm)
    with pytest.raises(Unauthorized):
        await principal(tmp_path, document(jwk(private, kid="k")), token(algorithm, private), others)


@pytest.mark.parametrize("algorithm", ALL)
async def test_a_key_with_alg_checks_that_only(tmp_path: Path, algorithm: str) -> None:
    private = PRIVATE[algorithm]
    keys = document(jwk(private, kid="k", alg=algorithm))
    assert await principal(tmp_path, keys, token(algorithm, private))
    other = next((each for each in ALL if each != algorithm and PRIVATE[each] is private), None)
    if other is not None:
        with pytest.raises(Unauthorized):
            await principal(tmp_path, keys, token(other, private))


async def test_the_public_key_is_no_shared_secret(tmp_path: Path) -> None:
    """Algorithm confusion: a token signed with the published key as if that were a secret."""
    text = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (text, b"", json.dumps(jwk(RSA)).encode()):
        head, body = (
            jwt.utils.base64url_encode(json.dumps(part).encode())
            for part in (
                {"alg": "HS256", "typ": "JWT", "kid": "k"},
                {"iss": "i", "aud": "a", "exp": int(time.time()) + 60, "scope": "read"},
            )
        )
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            head + b"." + body, secret or b"\0"
        )
        forged = b".".join([head, body, jwt.utils.base64url_encode(signature)]).decode()
        with pytest.raises(Unauthorized):
            await principal(tmp_path, document(jwk(RSA, kid="k")), forged)


async def test_a_critical_header_is_not_understood(tmp_path: Path) -> None:
    bearer = token("RS256", RSA, crit=["exp"], exp=1)
    with pytest.raises(Unauthorized):
        await principal(tmp_path, document(jwk(RSA, kid="k")), bearer)


SKIPPED: Final = {
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
    "an unknown type": {"kty": "PQC", "x": "AA"},
    "no type": {"kid": "x"},
    "for encryption": jwk(RSA, use="enc"),
    "for something else": jwk(RSA, key_ops=["encrypt"]),
    "operations that are none": jwk(RSA, key_ops="verify"),
    "another algorithm": jwk(RSA, alg="RSA-OAEP"),
    "another kind's algorithm": jwk(RSA, alg="ES256"),
    "an algorithm that is none": jwk(RSA, alg=5),
    "a private key": jwk(RSA, d="AQAB"),
    "too short": jwk(WEAK),
    "an unknown curve": jwk(CURVES["ES256"], crv="secp256k1"),
    "the point of another curve": jwk(CURVES["ES256"], crv="P-384"),
    "Ed448": jwk(ed448.Ed448PrivateKey.generate()),
    "a member missing": jwk(RSA, n=None),
    "a member of another type": jwk(RSA, e=65537),
    "no base64": jwk(RSA, n="!"),
    "no point": jwk(CURVES["ES256"], y="AA"),
    "an ID that is none": jwk(RSA, kid=5),
}


@pytest.mark.parametrize("what", SKIPPED)
async def test_other_keys_are_skipped_and_counted(what: str, tmp_path: Path) -> None:
    found = parse(document(SKIPPED[what], jwk(RSA, kid="k", use="sig", key_ops=["verify"])))
    assert (len(found), found.skipped) == (1, 1)
    with pytest.raises(ValueError, match="no key can be used"):
        parse(document(SKIPPED[what]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"keys": 1}',
        b'{"keys": [1]}',
        b'{"keys": []}',
        b"\xff",
        document(jwk(RSA)).decode().encode("utf-16"),
        document(jwk(RSA))[:-1] + b', "keys": []}',
        document(jwk(RSA))[:-1] + b', "x": NaN}',
        b"[" * 100_000,
        document(*[jwk(RSA)] * (MAX_KEYS + 1)),
    ],
    ids=range(11),
)
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse(data)


async def test_several_keys_may_have_the_same_id(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    keys = document(jwk(RSA, kid="k"), jwk(CURVES["ES256"], kid="k"), jwk(other, kid="k"))
    for algorithm, private in (("RS256", RSA), ("ES256", CURVES["ES256"]), ("PS512", other)):
        assert await principal(tmp_path, keys, token(algorithm, private))
    with pytest.raises(Unauthorized):
        await principal(tmp_path, keys, token("RS256", rsa.generate_private_key(65537, 2048)))


async def test_a_token_without_id_is_tried_with_every_key_that_fits(tmp_path: Path) -> None:
    keys = document(jwk(RSA), jwk(CURVES["ES256"], kid="e"), jwk(ED25519))
    for algorithm, private in (("RS512", RSA), ("ES256", CURVES["ES256"]), ("EdDSA", ED25519)):
        assert await principal(tmp_path, keys, token(algorithm, private, kid=None))
    with pytest.raises(Unauthorized, match="unknown key"):
        await principal(tmp_path, keys, token("RS512", RSA, kid="k"))


@pytest.mark.parametrize(
    "url", ["http://keys.example/certs", "ftp://keys.example/certs", "https:///certs", "http://[x/"]
)
def test_keys_do_not_come_over_plain_http_from_elsewhere(url: str) -> None:
    def settings(jwks: str, **more: Any) -> SecuritySettings:
        return SecuritySettings(jwks=jwks, issuer="i", audience="a", **more)

    with pytest.raises(ValueError, match="jwks"):
        settings(url)
    for fine in (
        "http://127.0.0.1:1/certs",
        "http://localhost/certs",
        "https://keys.example/certs",
        "a.json",
    ):
        assert settings(fine).jwks == fine
    assert settings("http://keys.example/certs", jwks_over_http=True).jwks
