"""What a running process takes over, and what it names instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaa_epr.config.names import LEAVES
from kaa_epr.config.reloading import RELOADED, take_over
from kaa_epr.config.settings import Settings
from tests.tidy.tree import ROOT

SECRET = "hush"


def made(tree: dict[str, Any]) -> Settings:
    return Settings.model_validate(tree)


RUNNING: dict[str, Any] = {
    "nats": {"servers": ["nats://a:4222"], "user": "u", "password": "before", "queue_group": "q"},
    "mongo": {"uri": "mongodb://h1,h2/?replicaSet=rs", "username": "u", "password": "before"},
}


def changed(group: str, **values: Any) -> dict[str, Any]:
    return {**RUNNING, group: {**RUNNING.get(group, {}), **values}}


@pytest.mark.parametrize(
    "wanted",
    [
        changed("nats", user="v", password=SECRET),
        changed("nats", servers=["nats://b:4222", "nats://c:4222"]),
        changed("nats", ping_interval=7.0, write_buffer_limit="1MiB", fast_path="off"),
        changed("nats", tls={"ca_file": "/ca.pem"}),
        changed("mongo", username="v", password=SECRET, auth_source="epr"),
        changed("mongo", tls={"ca_file": "/ca.pem", "cert_key_file": "/own.pem"}),
        changed("log", level="debug"),
    ],
)
def test_it_is_taken_over(wanted: dict[str, Any]) -> None:
    taken = take_over(made(RUNNING), made(wanted))
    assert taken.settings == made(wanted)
    assert taken.left == ()


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (changed("nats", queue_group="r"), ("nats.queue_group",)),
        (changed("mongo", database="other"), ("mongo.database",)),
        (changed("mongo", fields={"metadata": "attributes"}), ("mongo.fields.metadata",)),
        (changed("cache", max_bytes="1MiB", max_age=5), ("cache.max_bytes", "cache.max_age")),
        (changed("log", format="console"), ("log.format",)),
        (changed("service", instance_name="other"), ("service.instance_name",)),
        (changed("register", rest={"port": 1}, max_keys=7), ("register.rest.port", "register.max_keys")),
        (changed("register", restricted_keys={"a": ["k"]}), ("register.restricted_keys",)),
        (changed("kaa", applications={"a": {"versions": {"a-v1": {}}}}), ("kaa.applications",)),
        ({**RUNNING, "engine": "pure", "workers": 2}, ("engine", "workers")),
    ],
)
def test_it_needs_a_restart_and_is_named(wanted: dict[str, Any], left: tuple[str, ...]) -> None:
    taken = take_over(made(RUNNING), made(wanted))
    assert taken.settings == made(RUNNING)
    assert sorted(taken.left) == sorted(left)


def test_both_at_once() -> None:
    wanted = changed("mongo", password=SECRET, max_pool_size=3)
    taken = take_over(made(RUNNING), made(wanted))
    assert taken.settings.mongo.password == made(wanted).mongo.password
    assert taken.settings.mongo.max_pool_size == made(RUNNING).mongo.max_pool_size
    assert taken.left == ("mongo.max_pool_size",)
    assert SECRET not in str(taken.left)


def in_uri(user: str, hosts: str = "h1,h2") -> dict[str, Any]:
    return {"mongo": {"uri": f"mongodb://{user}@{hosts}/?replicaSet=rs"}}


def test_a_user_in_the_uri_is_taken_over() -> None:
    taken = take_over(made(in_uri("u:before")), made(in_uri(f"v:{SECRET}")))
    assert taken.settings == made(in_uri(f"v:{SECRET}"))
    assert taken.left == ()
    taken = take_over(made(RUNNING), made(in_uri(f"v:{SECRET}")))
    assert taken.settings.mongo == made(in_uri(f"v:{SECRET}")).mongo
    assert not [key for key in taken.left if key.startswith("mongo.")]


def test_credentials_for_other_servers_are_not() -> None:
    wanted = made(in_uri(f"v:{SECRET}", "elsewhere"))
    taken = take_over(made(in_uri("u:before")), wanted)
    assert taken.settings == made(in_uri("u:before"))
    assert taken.left == ("mongo.uri",)


def test_every_setting_is_taken_over_or_named() -> None:
    """A model that gets another group is thought of here too."""
    groups = {path[0] for path in LEAVES}
    assert {entry.partition(".")[0] for entry in RELOADED} <= groups
    readme = Path(ROOT / "README.md").read_text(encoding="utf-8")
    reload = readme[readme.index("* **Reload.**") :].partition("\n* **")[0]
    assert not [entry for entry in RELOADED if f"`{entry}`" not in reload]
