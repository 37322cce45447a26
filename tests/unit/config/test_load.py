"""Where settings come from, which source wins, and how wrong ones are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kaa_epr.config.dump import dump_yaml
from kaa_epr.config.load import Loaded, load
from kaa_epr.config.problems import ConfigError


def _load(
    tmp_path: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    path = tmp_path / "epr.yaml"
    path.write_text(text)
    return load(path, environ=environ or {}, flags=flags)


def _problems(
    tmp_path: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text, environ, flags)
    return [str(problem) for problem in caught.value.problems]


# --- precedence ---------------------------------------------------------------------------------------------
def test_without_any_source_all_is_default() -> None:
    loaded = load(environ={})
    assert loaded.settings.service.instance_name == "epr"
    assert loaded.settings.nats.servers == ("nats://127.0.0.1:4222",)
    assert loaded.origins == {}
    assert loaded.notes == ()


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_EPR__CACHE__MAX_BYTES", "1MiB")
    assert load().settings.cache.max_bytes == 2**20


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    text = "service: {instance_name: file}"
    kaa = {"INSTANCE_NAME": "kaa"}
    ours = {"KAA_EPR__SERVICE__INSTANCE_NAME": "ours"}
    flags = {"service.instance_name": "flag"}
    path = tmp_path / "epr.yaml"

    def name(*args: Any) -> tuple[str, str]:
        loaded = _load(tmp_path, *args)
        return loaded.settings.service.instance_name, loaded.origins["service.instance_name"]

    assert name(text) == ("file", f"{path.name}, line 1")
    assert name(text, kaa) == ("kaa", "environment variable INSTANCE_NAME")
    assert name(text, kaa | ours) == ("ours", "environment variable KAA_EPR__SERVICE__INSTANCE_NAME")
    assert name(text, kaa | ours, flags) == ("flag", "flag service.instance_name")


def test_sources_override_single_keys_not_groups(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "cache: {max_age: 5, max_bytes: 1MiB}", {"KAA_EPR__CACHE__MAX_AGE": "7"})
    assert loaded.settings.cache.max_age == 7
    assert loaded.settings.cache.max_bytes == 2**20


def test_empty_variables_and_none_flags_are_not_set(tmp_path: Path) -> None:
    environ = {"KAA_EPR__LOG__LEVEL": "", "NATS_PASSWORD": "", "NATS_PASSWORD_FILE": ""}
    assert _load(tmp_path, "log: {level: error}", environ, {"log.level": None}).settings.log.level == "error"


def test_a_mapping_can_be_said_by_every_source_name_by_name(tmp_path: Path) -> None:
    text = "register: {restricted_keys: {'*': [locked, 'a,b'], meter: [serial]}}"
    variables = {"KAA_EPR__REGISTER__RESTRICTED_KEYS__METER": "serial, owner"}
    loaded = _load(tmp_path, text, variables, {"register.restricted_keys.gate": "code"})
    restricted = {"*": ("locked", "a,b"), "meter": ("serial", "owner"), "gate": ("code",)}
    assert loaded.settings.register_.restricted_keys == restricted
    assert loaded.origins["register.restricted_keys.meter"].startswith("environment variable")
    again = _load(tmp_path, dump_yaml(loaded.settings), {"KAA_EPR__MONGO__URI": "mongodb://127.0.0.1"})
    assert again.settings.register_.restricted_keys == restricted


@pytest.mark.parametrize("text", ["meter: 5", "meter: {a: b}", "meter: [5]"])
def test_a_wrong_value_in_a_mapping_is_named(tmp_path: Path, text: str) -> None:
    (problem,) = _problems(tmp_path, f"register:\n  restricted_keys:\n    {text}\n")
    assert problem.startswith("register.restricted_keys.meter")
    assert "(epr.yaml, line 3)" in problem


def test_an_empty_file_and_empty_groups_change_nothing(tmp_path: Path) -> None:
    default = load(environ={}).settings
    for text in ("", "# only a comment\n", "{}", "cache:\nnats: {}\n"):
        assert _load(tmp_path, text).settings == default


# --- Kaa's own names ----------------------------------------------------------------------------------------
def test_a_kaa_file_is_taken(tmp_path: Path) -> None:
    text = """
server: {port: 80}
nats.urls: nats://a:4222, b:4223
kaa:
  applications:
    weather:
      versions:
        weather-v1:
        weather-v2: {anything: 1}
    empty:
  tekton: {enabled: true, url: http://t}
  scmp.consumer.provider.service-instance.name: tekton
spring.data.mongodb: {uri: "mongodb://m", database: repository}
"""
    loaded = _load(tmp_path, text)
    settings = loaded.settings
    assert settings.nats.servers == ("nats://a:4222", "nats://b:4223")
    assert list(settings.kaa.applications["weather"].versions) == ["weather-v1", "weather-v2"]
    assert settings.kaa.applications["empty"].versions == {}
    assert settings.kaa.tekton.enabled
    assert settings.mongo.uri.get_secret_value() == "mongodb://m"
    assert settings.mongo.database == "repository"
    assert loaded.notes == ("server (epr.yaml, line 2) has no meaning here and is ignored",)


def test_kaa_environment(tmp_path: Path) -> None:
    environ = {
        "INSTANCE_NAME": "repo",
        "NATS_URLS": "nats://a,nats://b",
        "NATS_USERNAME": "u",
        "NATS_PASSWORD": "p",
        "KAA_TEKTON_ENABLED": "true",
    }
    settings = _load(tmp_path, "", environ).settings
    assert settings.service.instance_name == settings.queue_group == "repo"
    assert settings.nats.servers == ("nats://a", "nats://b")
    assert settings.nats.user == "u"
    assert settings.nats.password is not None
    assert settings.nats.password.get_secret_value() == "p"
    assert settings.kaa.tekton.enabled


# --- secrets from files -------------------------------------------------------------------------------------
@pytest.mark.parametrize("variable", ["KAA_EPR__NATS__PASSWORD_FILE", "NATS_PASSWORD_FILE"])
def test_a_secret_may_stand_in_a_file(tmp_path: Path, variable: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p@ss word\n")
    settings = _load(tmp_path, "nats: {user: u}", {variable: str(secret)}).settings
    assert settings.nats.password is not None
    assert settings.nats.password.get_secret_value() == "p@ss word"


def test_files_of_secrets_work_in_the_configuration_file_too(tmp_path: Path) -> None:
    secret = tmp_path / "uri"
    secret.write_text("mongodb://u:p@h")
    settings = _load(tmp_path, f"mongo: {{uri_file: {secret}}}").settings
    assert settings.mongo.uri.get_secret_value() == "mongodb://u:p@h"


def test_a_secret_given_twice_by_one_source_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("b")
    environ = {"KAA_EPR__NATS__TOKEN": "a", "KAA_EPR__NATS__TOKEN_FILE": str(secret)}
    (problem,) = _problems(tmp_path, "", environ)
    assert problem == (
        "nats.token (environment variable KAA_EPR__NATS__TOKEN_FILE): "
        "expected once, but environment variable KAA_EPR__NATS__TOKEN says it too"
    )


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "expected a readable file (No such file or directory)"),
        (b"\n", "expected a file with 1 to 65536 bytes"),
        (b"x" * 65_537, "expected a file with 1 to 65536 bytes"),
        (b"\xff\xfe", "expected a file with UTF-8 text"),
    ],
)
def test_unusable_files_of_secrets(tmp_path: Path, content: bytes | None, wrong: str) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    origin = "environment variable KAA_EPR__NATS__TOKEN_FILE"
    problems = _problems(tmp_path, "", {"KAA_EPR__NATS__TOKEN_FILE": str(secret)})
    assert problems == [f"nats.token_file ({origin}): {wrong}"]


# --- refusals -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache: {max_bytes: lots}", "cache.max_bytes = 'lots' (epr.yaml, line 1): expected a size such as"),
        ("cache: {max_bytes: -1}", "cache.max_bytes = -1 (epr.yaml, line 1): expected at least 0"),
        ("\nstore:\n  timeout: 0\n", "store.timeout = 0 (epr.yaml, line 3): expected at least 0.001"),
        ("store: {timeout: .nan}", "store.timeout = nan (epr.yaml, line 1): expected"),
        ("store: {batch_size: yes}", "store.batch_size = True (epr.yaml, line 1): expected a number"),
        ("store: {batch_size: 2.5}", "store.batch_size = 2.5 (epr.yaml, line 1): expected a whole number"),
        ("store: {max_loads: 257}", "store.max_loads = 257 (epr.yaml, line 1): expected at most 256"),
        (
            "mongo: {driver: mongo}",
            "mongo.driver = 'mongo' (epr.yaml, line 1): expected one of motor, pymongo",
        ),
        (
            "responder: {plain_revision: 3}",
            "responder.plain_revision = 3 (epr.yaml, line 1): expected one of 1, 2",
        ),
        (
            "responder: {enabled: maybe}",
            "responder.enabled = 'maybe' (epr.yaml, line 1): expected true or false",
        ),
        (
            "service: {instance_name: a.b}",
            "service.instance_name = 'a.b' (epr.yaml, line 1): expected one NATS",
        ),
        (
            "service: {instance_name: 5}",
            "service.instance_name = 5 (epr.yaml, line 1): expected text (in quotes",
        ),
        ("nats: {servers: []}", "nats.servers = [] (epr.yaml, line 1): expected at least 1 items"),
        ("nats: {servers: 5}", "nats.servers = 5 (epr.yaml, line 1): expected a list"),
        (
            "nats: {servers: [a, 'http://b']}",
            "nats.servers[1] = 'http://b' (epr.yaml, line 1): expected a NATS",
        ),
        (
            "nats: {servers: 'h:99999'}",
            "nats.servers[0] = 'h:99999' (epr.yaml, line 1): expected a NATS server",
        ),
        (
            "mongo: {fields: {id: a.b}}",
            "mongo.fields.id = 'a.b' (epr.yaml, line 1): expected a top-level field",
        ),
        (
            "mongo: {collection: system.x}",
            "mongo.collection = 'system.x' (epr.yaml, line 1): expected a collection",
        ),
        ("management: {port: 65536}", "management.port = 65536 (epr.yaml, line 1): expected at most 65535"),
        ("cache: 5", "cache (epr.yaml, line 1): expected a mapping with keys such as max_bytes, max_age"),
        (
            "cach: {max_bytes: 5}",
            "cach.max_bytes (epr.yaml, line 1): unknown key; did you mean cache.max_bytes?",
        ),
        ("max_age: 5", "max_age (epr.yaml, line 1): unknown key; did you mean cache.max_age?"),
        ("cache.max-age: 5", "cache.max-age (epr.yaml, line 1): unknown key; did you mean cache.max_age?"),
        ("zzz: 5", "zzz (epr.yaml, line 1): unknown key"),
        (
            "spring.data.mongodb.host: h",
            "spring.data.mongodb.host (epr.yaml, line 1): unknown key; did you mean",
        ),
        ("kaa: {applications: {A B: }}", "kaa.applications.A B (epr.yaml, line 1): expected a name of"),
        (
            "nats: {tls: {ca_file: /nowhere}}",
            "nats.tls.ca_file = '/nowhere' (epr.yaml, line 1): expected a readable",
        ),
        (
            "register: {enabled: true}",
            "register.security.jwks",
        ),
    ],
)
def test_one_wrong_value(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = _problems(tmp_path, text)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats: {user: u}", ["nats.password: expected a password, since user is set"]),
        (
            "nats: {token: t, nkey_seed_file: /etc/passwd}",
            ["nats.nkey_seed_file (epr.yaml, line 1): expected one"],
        ),
        ("nats: {token: t, servers: 'nats://u:p@h'}", ["nats.servers (user in a URL): expected one way to"]),
        ("nats.tls.key_file: /etc/passwd", ["nats.tls.cert_file: expected a certificate file"]),
        (
            "nats: {servers: 'ws://a,nats://b'}",
            ["nats.servers (epr.yaml, line 1): expected either WebSocket"],
        ),
        ("nats: {reconnect_wait: 9}", ["nats.reconnect_wait_max: expected not less than reconnect_wait"]),
        ("mongo: {password: p}", ["mongo.username: expected a user name, since password is set"]),
        ("mongo: {username: u}", ["mongo.password: expected a password"]),
        (
            "mongo: {uri: 'mongodb://a:b@h', username: u, password: p}",
            ["mongo.username (epr.yaml, line 1): expected nothing, since the URI names a user already"],
        ),
        (
            "mongo: {fields: {version: x, metadata: x}}",
            [
                "mongo.fields.metadata (epr.yaml, line 1): expected a",
                "mongo.fields.version (epr.yaml, line 1): ",
            ],
        ),
        (
            "management.port: 65535\nworkers: 2",
            ["management.port (epr.yaml, line 1): expected a port that leaves"],
        ),
        (
            "service.replica_id: a\nworkers: 2",
            ["service.replica_id (epr.yaml, line 1): expected no fixed replica ID with several workers"],
        ),
    ],
)
def test_values_that_do_not_go_together(tmp_path: Path, text: str, expected: list[str]) -> None:
    problems = _problems(tmp_path, text)
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_an_at_sign_in_the_options_of_a_uri_is_no_user(tmp_path: Path) -> None:
    text = "mongo: {uri: 'mongodb://h/?appname=a@b', username: u, password: p}"
    assert _load(tmp_path, text).settings.mongo.username == "u"


def test_all_problems_of_all_sources_are_reported_at_once(tmp_path: Path) -> None:
    text = "store: {timeout: soon}\ncach: 1\nnats: {password: hunter2}\n"
    problems = _problems(tmp_path, text, {"KAA_EPR__LOG__LEVEL": "loud"}, {"workers": 0})
    assert sorted(problem.partition(" ")[0] for problem in problems) == [
        "cach",
        "log.level",
        "nats.user:",
        "store.timeout",
        "workers",
    ]
    with pytest.raises(ConfigError, match=r"^The configuration has 5 problems:\n  cach "):
        _load(tmp_path, text, {"KAA_EPR__LOG__LEVEL": "loud"}, {"workers": 0})


@pytest.mark.parametrize(
    "text",
    [
        "nats: {pasword: hunter2}",
        "nats: {password: [hunter2]}",
        "nats: hunter2",
        "mongo: {uri: 'http://u:hunter2@h'}",
        "mongo: {uri: 'mongodb://u:hunter2@h', username: x}",
        "nats: {servers: 'nats://u:hunter2@h:x'}",
        "nats: {servers: 'nats://u:hun/ter2@h:x,http://u:hunter2@b'}",
        "nats: {token: 'hunter2', token: 'hunter2'}",
        "nats: {token: 'hunter2\n",
        "nats: {token: !!python/object:os.system hunter2}",
        "kaa: {applications: {Bad Name: hunter2}}",
        "kaa: {tekton: {enabled: maybe, clientSecret: hunter2}}",
        "nats: {token: &a hunter2, user: *b}",
    ],
)
def test_problems_never_show_secrets(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert "ter2" not in str(caught.value)


def test_files_need_not_exist_where_that_is_not_checked(tmp_path: Path) -> None:
    path = tmp_path / "epr.yaml"
    path.write_text("nats: {credentials_file: /nowhere}")
    loaded = load(path, environ={}, check_files=False)
    assert loaded.settings.nats.credentials_file == Path("/nowhere")


def test_unknown_variables_are_refused(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "", {"KAA_EPR__CACHE__MAX_BYTE": "1", "KAA_EPR_PORT": "tcp://service"})
    assert problem == (
        "cache.max_byte (environment variable KAA_EPR__CACHE__MAX_BYTE): "
        "unknown key; did you mean cache.max_bytes?"
    )


def test_the_error_survives_pickling(tmp_path: Path) -> None:
    import pickle

    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, "workers: 0")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
