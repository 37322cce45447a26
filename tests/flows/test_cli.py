"""The commands that end by themselves: those that ask servers as processes, against one embedded service."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import nats
import pytest

from kaa_epr.cli import probe
from kaa_epr.client.codec import Codec, Request
from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from kaa_epr.mongo import indexes
from tests.support.called import call
from tests.support.command import Served, run

COMMANDS = ("serve", "get", "import", "export", "check-config", "decode", "events", "observe", "version")
SAMPLE = "sample-0001"


# --- help
@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_each_command(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert command == "version" or f"kaa-epr {command}" in done.stdout, "help has an example"


def test_help_lists_the_commands() -> None:
    done = run("--help")
    assert all(command in done.stdout for command in COMMANDS)


def test_version_says_what_runs() -> None:
    lines = run("version").stdout.splitlines()
    assert lines[0].startswith("kaa-epr ")
    assert lines[1].startswith("engine rust ")


# --- get
def test_get_prints_the_metadata(embedded_service: Served) -> None:
    done = run("get", SAMPLE, env=embedded_service.env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["serial"] == "KE00000001"
    assert done.stderr == ""


def test_get_takes_field_names_in_both_ways(embedded_service: Served) -> None:
    done = run("get", SAMPLE, "-i", "site,model", "-i", "tags,nonsense", "--raw", env=embedded_service.env)
    assert done.stdout == '{"model":"SM-200","site":"Rotterdam","tags":["pilot"]}\n'


def test_get_full_has_etag_and_version(embedded_service: Served) -> None:
    done = run("get", SAMPLE, "--include", "model", "--full", env=embedded_service.env)
    assert json.loads(done.stdout) == {
        "endpointId": SAMPLE,
        "appVersionName": "smart_meter-v1-4",
        "eTag": '"1"',
        "metadata": {"model": "SM-200"},
    }


def test_get_of_an_unknown_endpoint_ends_with_4(embedded_service: Served) -> None:
    done = run("get", "nobody", env=embedded_service.env)
    assert (done.returncode, done.stdout) == (4, "")
    assert "404" in done.stderr


def test_get_where_nobody_listens_ends_with_5(embedded_service: Served, instance_name: str) -> None:
    done = run("get", SAMPLE, "--instance", instance_name, "--timeout", "1", env=embedded_service.env)
    assert (done.returncode, done.stdout) == (5, "")
    assert "nobody listens" in done.stderr


async def test_get_without_an_answer_ends_with_6(nats_server: NatsServer, instance_name: str) -> None:
    silent = await nats.connect(nats_server.url)
    await silent.subscribe(subjects.metadata_get_request(instance_name))
    await silent.flush()
    done = run("get", SAMPLE, "--instance", instance_name, "--timeout", "0.5", "--nats", nats_server.url)
    await silent.close()
    assert (done.returncode, done.stdout) == (6, "")
    assert "no answer within 0.5 s" in done.stderr


def test_get_without_a_server_ends_with_1() -> None:
    done = run("get", SAMPLE, "--nats", "nats://127.0.0.1:1", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kaa-epr: no connection to NATS: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("get",), ("get", "a", "--nonsense"), ("get", "a", "--set", "x"), ("decode",)]
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).returncode == 2


# --- import, export
def test_import_reports_bad_lines_and_writes_the_others(embedded_service: Served, tmp_path: Path) -> None:
    file = tmp_path / "endpoints.jsonl"
    lines = ['{"endpointId": "i-1", "metadata": {"n": 27.0}}', "not json", '{"endpointId": "i 2"}', ""]
    file.write_text("\n".join([*lines, '{"endpointId": "i-3"}']) + "\n")
    done = run("import", str(file), "--database", "imports", env=embedded_service.env)
    assert done.returncode == 1
    assert "line 2: " in done.stderr
    assert "line 3: " in done.stderr
    assert "5 lines: 2 created, 0 changed, 0 unchanged, 2 bad" in done.stderr
    assert done.stdout == ""

    again = run("import", str(file), "--database", "imports", env=embedded_service.env)
    assert "0 created, 0 changed, 2 unchanged, 2 bad" in again.stderr

    exported = run("export", "--database", "imports", env=embedded_service.env)
    assert exported.returncode == 0
    written = [json.loads(line) for line in exported.stdout.splitlines()]
    assert written == [{"endpointId": "i-1", "metadata": {"n": 27.0}}, {"endpointId": "i-3", "metadata": {}}]


def test_export_of_the_samples_is_what_was_imported(embedded_service: Served, tmp_path: Path) -> None:
    samples = Path("samples/endpoints.jsonl").read_text()
    output = tmp_path / "out.jsonl"
    copied = run("import", "samples/endpoints.jsonl", "--database", "copies", env=embedded_service.env)
    assert copied.returncode == 0, copied.stderr
    done = run("export", "--database", "copies", "--output", str(output), env=embedded_service.env)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in output.read_text().splitlines()] == [
        json.loads(line) for line in samples.splitlines()
    ]
    assert list(tmp_path.iterdir()) == [output]
    Path("samples/endpoints.jsonl.import-state").unlink(missing_ok=True)


def test_import_of_a_missing_file_names_it(tmp_path: Path) -> None:
    done = call("import", str(tmp_path / "absent.jsonl"))
    assert done.returncode == 2
    assert "absent.jsonl" in done.stderr


def test_import_without_a_store_fails_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "_LIST_SECONDS", 0.5)  # its first question to a store
    file = tmp_path / "one.jsonl"
    file.write_text('{"endpointId": "x"}\n')
    away = ["--mongo", "mongodb://user:hunter2@127.0.0.1:1", "--set", "store.timeout=0.5"]
    done = call("import", str(file), "--no-events", *away)
    assert done.returncode == 1
    assert "no primary is reachable" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


# --- decode
def request() -> bytes:
    return Codec(3).encode(Request("e-1", ("model",), True), "c-1", 1_764_547_200_776, 1000)


@pytest.mark.parametrize("form", ["file", "stdin", "hex", "base64"])
def test_decode_takes_every_form(form: str, tmp_path: Path) -> None:
    payload = request()
    file = tmp_path / "message.bin"
    file.write_bytes(payload)
    arguments = {
        "file": [str(file)],
        "stdin": ["-"],
        "hex": ["--hex", payload.hex(" ")],
        "base64": ["--base64", base64.b64encode(payload).decode()],
    }[form]
    done = call("decode", *arguments, "--kind", "ep-metadata-get-request", stdin=payload)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["message"]["endpointId"] == "e-1"


def test_decode_of_rubbish_says_why() -> None:
    done = call("decode", "--hex", "ff", "--kind", "ep-metadata-get-request")
    assert done.returncode == 1
    assert "does not decode" in done.stderr


# --- check-config
def test_check_config_lists_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("cache: {max_byts: 1}\nnats: {password: hunter2}\nworkers: many\n")
    done = call("check-config", str(file))
    assert done.returncode == 1
    assert all(text in done.stderr for text in ("cache.max_bytes", "nats.user", "workers"))
    assert "hunter2" not in done.stderr


def test_check_config_shows_what_results(tmp_path: Path) -> None:
    file = tmp_path / "right.yaml"
    file.write_text("nats: {user: u, password: hunter2}\n")
    done = call("check-config", str(file), "--show", env={"KAA_EPR__CACHE__MAX_AGE": "7"})
    assert done.returncode == 0, done.stderr
    assert "max_age: 7.0" in done.stdout
    assert "hunter2" not in done.stdout


def test_probe_says_that_the_documents_fit(embedded_service: Served) -> None:
    done = run("check-config", "samples/epr.yaml", "--probe", env=embedded_service.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers 20 of 20 samples as we would" in done.stdout


def test_probe_finds_a_wrong_mapping(embedded_service: Served) -> None:
    mapping = ["--set", "mongo.fields.application_version=application", "--set", "mongo.fields.version=v"]
    done = run("check-config", "samples/epr.yaml", "--probe", *mapping, env=embedded_service.env)
    assert done.returncode == 1
    assert "sample-0001 is answered differently: eTag, application version" in done.stdout


def test_probe_names_what_it_cannot_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.5)
    away = ["nats.servers=nats://127.0.0.1:1", "mongo.uri=mongodb://127.0.0.1:1", "store.timeout=0.5"]
    done = call("check-config", "samples/epr.yaml", "--probe", *(f"--set={setting}" for setting in away))
    assert done.returncode == 1
    assert "mongo: PROBLEM" in done.stdout
    assert "nats: PROBLEM" in done.stdout
    assert "Traceback" not in done.stderr
