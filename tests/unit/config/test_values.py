"""Single values, what is derived from them, and what may be printed of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.config.dump import dump, dump_yaml, mask_mongo_uri
from kaa_epr.config.engine import engine_config
from kaa_epr.config.load import load
from kaa_epr.config.masking import mask_userinfo
from kaa_epr.config.names import GROUPS, LEAVES
from kaa_epr.config.reference import markdown, rows
from kaa_epr.config.settings import Settings
from kaa_epr.config.types import parse_server, parse_size, web_url
from kaa_epr.engine.api import EngineConfig


@pytest.mark.parametrize(
    ("given_size", "size"),
    [
        (5, 5),
        ("5", 5),
        ("5B", 5),
        ("1kB", 1000),
        ("2 MiB", 2 * 2**20),
        ("1.5GiB", 3 * 2**29),
        ("3gb", 3 * 10**9),
        (" 7kib ", 7 * 1024),
    ],
)
def test_sizes(given_size: object, size: int) -> None:
    assert parse_size(given_size) == size


@pytest.mark.parametrize("wrong", ["", "B", "5 foo", "-5", "1e9", "0x10", "1 2", "½", True, "9" * 400])
def test_wrong_sizes(wrong: object) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("h", "nats://h"),
        ("h:1", "nats://h:1"),
        ("tls://h", "tls://h"),
        ("wss://h:443", "wss://h:443"),
        ("nats://[::1]:4222", "nats://[::1]:4222"),
        (" nats://u:p@h ", "nats://u:p@h"),
    ],
)
def test_servers(text: str, url: str) -> None:
    assert parse_server(text) == url


@pytest.mark.parametrize(
    "wrong", ["", "http://h", "nats://", "nats://h:0", "nats://h:x", "nats://[::1", "a b"]
)
def test_wrong_servers(wrong: str) -> None:
    with pytest.raises(ValueError, match="a NATS server such as"):
        parse_server(wrong)


@pytest.mark.parametrize("url", ["https://kaa.example.com", "http://h:8090/epr", "https://[::1]/a/b-c"])
def test_web_urls(url: str) -> None:
    assert web_url(url) == url


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "h",
        "/epr",
        "nats://h",
        "https://",
        "https://h/",
        "https://u@h",
        "https://h?q",
        "https://h#f",
        "https://h:0",
        "https://h:x",
        "https://[::1",
        "https://h/a b",
        "https://h/\r\nX: y",
    ],
)
def test_wrong_web_urls(wrong: str) -> None:
    with pytest.raises(ValueError, match="a URL such as https"):
        web_url(wrong)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("nats://u:p@h:1", "nats://***@h:1"),
        ("nats://token@h", "nats://***@h"),
        ("nats://u:p/q@r@h", "nats://***@h"),
        ("nats://a:b@h,nats://c:d@i", "nats://***@h,nats://***@i"),
        ("mongodb+srv://u:p@h/?x=1", "mongodb+srv://***@h/?x=1"),
        ("mongodb://h1,h2/db", "mongodb://h1,h2/db"),
        ("no address, but me@home.org", "no address, but me@home.org"),
        ("at nats://h, ask me@home.org", "at nats://h, ask me@home.org"),
    ],
)
def test_user_information_is_masked(text: str, masked: str) -> None:
    assert mask_userinfo(text) == masked


@given(user=st.text(max_size=8), password=st.from_regex(r"[^\s@]{4,12}", fullmatch=True))
def test_no_password_survives_masking(user: str, password: str) -> None:
    user = "".join(user.split())
    masked = mask_userinfo(f"x nats://{user}:{password}@host:4222 y")
    assert masked.endswith("***@host:4222 y")
    assert password not in masked.replace("***@host:4222", "").replace("x nats:", "")


def test_the_options_of_a_mongo_uri_are_masked() -> None:
    assert mask_mongo_uri("mongodb://h/db?tlsCertificateKeyFilePassword=x") == "mongodb://h/db?***"
    assert mask_mongo_uri("mongodb://u:p@h") == "mongodb://***@h"


def _full() -> Settings:
    return load(
        environ={},
        flags={
            "nats.servers": "nats://u:hunter2@h",
            "nats.tls.ca_file": "/etc/passwd",
            "mongo.uri": "mongodb://h/?tlsCertificateKeyFilePassword=hunter2",
            "mongo.username": "u",
            "mongo.password": "hunter2",
            "kaa.tekton.clientSecret": "hunter2",
            "kaa.applications.app.versions.app-v1": {"key": "hunter2"},
            "kaa.applications.app.other": "hunter2",
            "cache.max_bytes": "64MiB",
        },
    ).settings


def test_neither_dump_nor_repr_shows_secrets() -> None:
    settings = _full()
    for text in (dump_yaml(settings), repr(settings), str(settings), repr(dump(settings))):
        assert "hunter2" not in text
    shown = dump(settings)
    assert shown["nats"]["servers"] == ["nats://***@h"]
    assert shown["mongo"]["uri"] == "mongodb://h/?***"
    assert shown["mongo"]["password"] == "***"
    assert shown["nats"]["password"] is None
    assert shown["kaa"]["applications"] == {"app": {"versions": {"app-v1": {"key": "***"}}, "other": "***"}}
    assert shown["nats"]["tls"]["ca_file"] == "/etc/passwd"


def test_a_dump_can_be_loaded_again(tmp_path: Path) -> None:
    flags = {
        "cache.max_bytes": "64MiB",
        "nats.servers": "a,b",
        "nats.tls.ca_file": "/etc/passwd",
        "workers": 3,
    }
    settings = load(environ={}, flags=flags).settings
    path = tmp_path / "dump.yaml"
    path.write_text(dump_yaml(settings))
    assert load(path, environ={}).settings == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().cache.max_bytes = 5  # type: ignore[misc]


def test_the_engines_defaults_are_the_settings_defaults() -> None:
    assert engine_config(Settings(), hash_seed=0) == EngineConfig()


def test_every_engine_setting_arrives() -> None:
    flags = {
        "cache.max_bytes": 1,
        "cache.max_age": 0.0011,
        "cache.unknown_max_bytes": 3,
        "cache.unknown_max_age": 4,
        "responder.max_pending": 5,
        "responder.max_pending_bytes": 65_536,
        "responder.max_held_bytes": 7,
        "responder.held_max_age": 8,
        "store.timeout": 0.009,
        "responder.default_revision": 2,
        "responder.plain_revision": 2,
        "coherence.settle": 0,
        "coherence.forget": 61,
        "invalidation.settle": 0.0005,
        "invalidation.apply_events": False,
        **{f"mongo.fields.{name}": f"my_{name}" for name in ("id", "metadata", "version", "deleted_at")},
        "mongo.fields.application_version": "my_application_version",
    }
    config = engine_config(load(environ={}, flags=flags).settings, hash_seed=14)
    default = EngineConfig()
    same = [name for name in EngineConfig.__slots__ if getattr(config, name) == getattr(default, name)]
    assert same == ["silence_ms"], "the bound of schemas/coherence/, not a setting"
    assert config.cache_max_age_ms == 2, "rounded up, never down to nothing"
    assert config.store_timeout_ms == 9
    assert config.settle_ms == 0
    assert config.foreign_settle_ms == 1
    assert config.mapping.id == "my_id"


def test_ports_of_workers() -> None:
    management = Settings().management
    assert [management.port_of(worker) for worker in range(3)] == [8080, 8081, 8082]
    assert load(environ={}, flags={"management.port": 0}).settings.management.port_of(2) == 0


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ({}, False),
        ({"nats.servers": "tls://h"}, True),
        ({"nats.servers": "wss://h"}, True),
        ({"nats.tls.enabled": "true"}, True),
        ({"nats.tls.handshake_first": True}, True),
        ({"nats.tls.ca_file": "/etc/passwd"}, True),
    ],
)
def test_when_tls_is_wanted(flags: dict[str, object], wanted: bool) -> None:
    assert load(environ={}, flags=flags).settings.nats.wants_tls is wanted


def test_every_setting_is_described() -> None:
    table = {row.key: row for row in rows()}
    assert len(table) == len(LEAVES) > 60
    for row in table.values():
        assert row.description.endswith("."), row.key
        assert row.key in markdown()
    units = ("timeout", "wait", "wait_max", "interval", "age", "settle", "forget")
    for row in table.values():
        if row.key.endswith(units):
            assert "in seconds" in row.description, row.key
        if row.key.endswith("bytes"):
            assert "bytes" in row.description, row.key
    assert table["cache.max_bytes"].default == "256MiB"
    assert table["mongo.uri"].default == "mongodb://127.0.0.1:27017"


def test_the_groups_of_the_design_are_there() -> None:
    groups = {path[0] for path in GROUPS}
    assert groups >= {
        *("service", "nats", "mongo", "store", "cache", "responder", "invalidation", "coherence"),
        *("register", "management", "log"),
    }
