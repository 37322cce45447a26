"""The embedded servers: found, started, kept apart, stopped, and never left behind."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, TypedDict

import nats
import pytest
import trustme
from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from kaa_epr.embedded import (
    DataDirInUse,
    EmbeddedServers,
    LibraryMissing,
    MongoTls,
    ServerFailed,
    ServerNotFound,
    start_mongod,
    start_nats,
)
from kaa_epr.embedded.binaries import MONGOD, NATS_SERVER, find, runnable
from kaa_epr.embedded.process import ServerProcess


class Ports(TypedDict):
    nats_port: int
    mongo_port: int


ANY: Final[Ports] = {"nats_port": -1, "mongo_port": 0}
OWNER = """
import sys
from pathlib import Path
from kaa_epr.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1]), nats_port=-1, mongo_port=0) as servers:
    print(servers.nats.process.pid, servers.mongo.process.pid, flush=True)
    sys.stdin.read()
"""


def ended(pidfd: int, timeout: float = 10.0) -> bool:
    """Whether the process behind ``pidfd`` ends within ``timeout`` seconds."""
    readable, _, _ = select.select([pidfd], [], [], timeout)
    return bool(readable)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_pair_keeps_its_data_and_stops(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, **ANY) as servers:
        first_port = servers.mongo.port
        pids = [os.pidfd_open(servers.nats.process.pid), os.pidfd_open(servers.mongo.process.pid)]
        with MongoClient[dict[str, object]](servers.mongo_uri) as client:
            client.epr.endpoints.insert_one({"_id": "kept"})
    assert all(ended(pid, 0) for pid in pids)

    with socket.create_server(("127.0.0.1", first_port)), EmbeddedServers(tmp_path, **ANY) as again:
        assert again.mongo.port != first_port
        with MongoClient[dict[str, object]](again.mongo_uri) as client:
            assert client.epr.endpoints.find_one() == {"_id": "kept"}
            with client.start_session() as session, session.start_transaction():
                client.epr.endpoints.insert_one({"_id": "in a transaction"}, session=session)


async def test_it_is_an_async_context_manager_too(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path, **ANY) as servers:
        client = await nats.connect(servers.nats_url)
        await client.close()
    assert not servers.nats.process.running


def test_a_taken_port_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with EmbeddedServers(tmp_path, nats_port=port, mongo_port=port) as servers:
            assert len({port, servers.nats.port, servers.mongo.port, -1, 0}) == 5


def test_a_data_dir_has_one_owner(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, **ANY), pytest.raises(DataDirInUse) as caught:
        EmbeddedServers(tmp_path, **ANY).__enter__()
    assert str(os.getpid()) in str(caught.value)


def test_servers_of_a_killed_owner_die_and_the_next_owner_gets_the_data_dir(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pids = [os.pidfd_open(int(pid)) for pid in owner.stdout.readline().split()]
        assert len(pids) == 2
        owner.kill()
        owner.wait()
        with EmbeddedServers(tmp_path, **ANY) as servers:
            assert all(ended(pid, 0) for pid in pids)
            assert servers.mongo.process.running


def test_a_failed_start_leaves_nothing_running(tmp_path: Path) -> None:
    bad_mongod = script(tmp_path / "mongod", "echo a reason; exit 3")
    servers = EmbeddedServers(tmp_path / "data", **ANY, mongod_binary=bad_mongod)
    with pytest.raises(ServerFailed) as caught, servers:
        pass
    assert "a reason" in str(caught.value)
    assert str(tmp_path / "data/mongo/mongod.log") in str(caught.value)
    assert not servers.nats.process.running
    with EmbeddedServers(tmp_path / "data", **ANY):
        pass  # the directory was released


def test_a_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    words = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    broken = script(tmp_path / "mongod", f"echo '{words}: No such file or directory' >&2; exit 127")
    with (
        pytest.raises(LibraryMissing) as caught,
        EmbeddedServers(tmp_path, **ANY, mongod_binary=broken),
    ):
        pass
    assert "apt-get install libcurl4" in str(caught.value)


def test_a_named_binary_goes_before_path_and_path_before_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    monkeypatch.delenv(NATS_SERVER.variable, raising=False)
    monkeypatch.setenv("PATH", str(bin_dir))
    packaged = find(NATS_SERVER, tmp_path)
    on_path = script(bin_dir / "nats-server", "")
    named = script(tmp_path / "mine", "")
    assert find(NATS_SERVER, tmp_path) == on_path != packaged
    assert find(NATS_SERVER, tmp_path, named) == named
    monkeypatch.setenv(NATS_SERVER.variable, str(named))
    assert find(NATS_SERVER, tmp_path) == named
    monkeypatch.setenv(MONGOD.variable, str(tmp_path / "absent"))
    with pytest.raises(ServerNotFound, match="absent"):
        find(MONGOD, tmp_path)


def test_a_binary_without_run_bit_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = script(tmp_path / "mongod", "")
    binary.chmod(0o644)
    assert runnable(binary, tmp_path / "scratch") == binary
    assert os.access(binary, os.X_OK)


def test_a_binary_that_may_not_be_changed_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = script(tmp_path / "mongod", "echo copied")
    binary.chmod(0o644)

    def refuse(path: Path, mode: int) -> None:
        if path == binary:
            raise PermissionError(path)
        os.chmod(path, mode)  # noqa: PTH101 - Path.chmod is what is replaced

    monkeypatch.setattr(Path, "chmod", refuse)
    copy = runnable(binary, tmp_path / "scratch")
    assert subprocess.check_output([copy]) == b"copied\n"
    assert runnable(binary, tmp_path / "scratch") == copy


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = script(tmp_path / "stubborn", "trap '' TERM; echo up; while :; do read line; done < /dev/zero")
    process = ServerProcess("stubborn", [stubborn], tmp_path / "log")
    process.start()
    process.wait_for(re.compile("up"), 10)
    process.stop(timeout=0.2)
    assert not process.running


def test_nats_comes_back_on_its_port_and_takes_new_configuration(tmp_path: Path) -> None:
    server = start_nats(tmp_path)
    try:
        port = server.port
        server.kill()
        assert not server.process.running
        server.restart()
        assert server.port == port
        server.reload(["max_payload: 2MB"])
        server.process.signal(signal.SIGSTOP)
    finally:
        server.stop()
    assert not server.process.running


async def test_members_of_a_cluster_know_each_other(tmp_path: Path) -> None:
    with_seed = start_nats(tmp_path / "a", cluster="c")
    try:
        other = start_nats(tmp_path / "b", cluster="c", routes=[with_seed.route_url])
        try:
            other.process.wait_for(re.compile("Route connection created"), 10)
            route_port = other.route_port
            other.restart()
            assert other.route_port == route_port
        finally:
            other.stop()
    finally:
        with_seed.stop()


def test_mongod_comes_back_on_its_port(tmp_path: Path) -> None:
    server = start_mongod(tmp_path)
    try:
        port = server.port
        server.kill()
        server.restart()
        assert server.port == port
    finally:
        server.stop()


def test_mongod_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    tls = MongoTls(tmp_path / "server.pem", tmp_path / "ca.pem", require_client_cert=True)
    server = start_mongod(tmp_path / "mongo", tls=tls)
    try:
        with MongoClient[dict[str, object]](server.uri, **server.client_options) as client:
            assert client.epr.endpoints.find_one() is None
        with (
            MongoClient[dict[str, object]](server.uri, serverSelectionTimeoutMS=500) as plain,
            pytest.raises(ServerSelectionTimeoutError),
        ):
            plain.epr.endpoints.find_one()
    finally:
        server.stop()


def test_mongod_with_access_control(tmp_path: Path) -> None:
    server = start_mongod(tmp_path, auth=("root", "not secret"))
    try:
        with MongoClient[dict[str, object]](server.uri) as stranger, pytest.raises(OperationFailure):
            stranger.epr.endpoints.find_one()
        server.restart()
        with MongoClient[dict[str, object]](server.uri, **server.client_options) as known:
            assert known.epr.endpoints.find_one() is None
    finally:
        server.stop()
