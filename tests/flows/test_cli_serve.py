"""``kaa-epr serve`` from start to end, as a process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

from kaa_epr.embedded import MongoServer, NatsServer
from tests.support.command import Served, run, serve_embedded

MISSING = "error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file"


def children(pid: int) -> list[int]:
    """File descriptors that become readable when a child of ``pid`` ends."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [os.pidfd_open(int(child)) for child in listed]


def all_end(pidfds: list[int], timeout: float) -> bool:
    return all(select.select([pidfd], [], [], timeout)[0] for pidfd in pidfds)


def test_ready_file_says_where_everything_is(embedded_service: Served) -> None:
    ready = embedded_service.ready
    assert set(ready) >= {"pid", "nats", "mongo", "management"}
    assert ready["pid"] == embedded_service.process.pid
    assert ready["nats"].startswith("nats://127.0.0.1:")
    assert ready["mongo"].startswith("mongodb://127.0.0.1:")
    assert ready["management"].startswith("http://127.0.0.1:")


def test_hints_work_when_pasted(tmp_path: Path) -> None:
    service = serve_embedded(tmp_path)  # of its own: what the hints store is not to be found by others
    hints = [line.strip() for line in service.process.lines() if line.startswith("  ")]
    statuses = []
    for hint in hints:
        done = subprocess.run(["bash", "-c", hint], capture_output=True, text=True, check=False)
        assert done.stdout or done.stderr
        statuses.append(done.returncode)
    assert statuses == [0, 0, 4, *[0] * 8]
    assert service.end() == 0


def test_a_signal_stops_everything_and_data_stays(tmp_path: Path) -> None:
    service = serve_embedded(tmp_path)
    servers = children(service.process.pid)
    assert len(servers) == 2
    line = '{"endpointId": "kept", "metadata": {"by": "me"}}\n'
    (tmp_path / "one.jsonl").write_text(line)
    assert run("import", str(tmp_path / "one.jsonl"), env=service.env).returncode == 0
    assert service.end(signal.SIGINT) == 0
    assert all_end(servers, 0)

    again = serve_embedded(tmp_path)
    assert run("get", "kept", "--raw", env=again.env).stdout == '{"by":"me"}\n'
    assert run("get", "sample-0200", env=again.env).returncode == 0
    assert again.end(signal.SIGTERM) == 0


def test_a_second_one_on_the_same_data_is_refused(tmp_path: Path) -> None:
    service = serve_embedded(tmp_path)
    second = run("serve", "--embedded", "--data-dir", str(tmp_path / "data"))
    assert second.returncode == 1
    assert f"in use by process {service.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert service.end() == 0


def test_kill_9_leaves_no_servers(tmp_path: Path) -> None:
    service = serve_embedded(tmp_path)
    servers = children(service.process.pid)
    assert service.end(signal.SIGKILL) == -signal.SIGKILL
    assert all_end(servers, 10)
    assert serve_embedded(tmp_path).end() == 0


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text(f"#!/bin/sh\necho '{broken}: {MISSING}' >&2\nexit 127\n")
    broken.chmod(0o755)
    done = run("serve", "--embedded", "--data-dir", str(tmp_path / "d"), env={"KAA_EPR_MONGOD": str(broken)})
    assert done.returncode == 1
    assert done.stderr.startswith("kaa-epr: mongod needs the library libcurl.so.4, which is missing; ")
    assert done.stderr.endswith("apt-get install libcurl4\n")


def test_a_wrong_configuration_is_refused(tmp_path: Path) -> None:
    done = run("serve", "--embedded", "--data-dir", str(tmp_path), "--set", "cache.max_age=never")
    assert done.returncode == 1
    assert "cache.max_age = 'never'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_servers_named_in_the_configuration_go_first(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, tmp_path: Path
) -> None:
    """Only mongod is embedded where NATS is named; with both named nothing is."""
    named = {"KAA_EPR__NATS__SERVERS": nats_server.url, "INSTANCE_NAME": instance_name}
    service = serve_embedded(tmp_path / "one", env=named)
    assert service.ready["nats"] == nats_server.url
    assert len(children(service.process.pid)) == 1
    env = {**service.env, "INSTANCE_NAME": instance_name}
    assert run("get", "sample-0001", env=env).returncode == 0
    assert service.end() == 0

    both = {**named, "KAA_EPR__MONGO__URI": mongod.uri, "KAA_EPR__MONGO__DATABASE": mongo_database}
    service = serve_embedded(tmp_path / "two", env=both)
    assert children(service.process.pid) == []
    assert run("get", "sample-0001", env=both).returncode == 4, "samples go into an embedded store only"
    assert service.end() == 0


def test_serve_with_a_file_uses_the_servers_it_names(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, tmp_path: Path
) -> None:
    config = tmp_path / "epr.yaml"
    config.write_text(
        f"service: {{instance_name: {instance_name}}}\n"
        f"nats: {{servers: ['{nats_server.url}']}}\n"
        f"mongo: {{uri: '{mongod.uri}', database: {mongo_database}}}\n"
        "management: {port: 0}\n"
    )
    assert run("import", "samples/endpoints.jsonl", "--config", str(config)).returncode == 0
    ready_file = tmp_path / "ready.json"
    service = Served(["--config", str(config)], ready_file).wait_ready()
    answer = run("get", "sample-0001", "--config", str(config))
    assert answer.returncode == 0, answer.stderr
    assert service.end() == 0
    assert service.ready["mongo"] == f"mongodb://127.0.0.1:{mongod.port}/?replicaSet=rs0"
