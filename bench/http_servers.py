"""What HTTP servers for Python cost a request: ours and others, one interleaved run.

``python bench/http_servers.py [--rounds N] [--seconds S]``. Each contender is a fresh process that serves
the same ASGI application: a GET answered with 300 B of JSON, and a PUT of one key whose body is read and
answered. The client is this process, with no more protocol than it takes. CPU is the server's, children
included, over the answers of that time; limits (64 KiB of head, 5 s of idle time, 1024 connections) are set
where a server has them. Stored as ``results/http-*.json``, with the table in ``bench/README.md``. Servers
that are not installed are left out: ``pip install granian hypercorn`` for the two that nothing here needs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, cast

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop

from bench import machine
from bench.generator import ROOT

RESULTS: Final = ROOT / "bench" / "results"
README: Final = ROOT / "bench" / "README.md"
BEGIN: Final = "<!-- http:begin -->"
END: Final = "<!-- http:end -->"
PACKAGES: Final = ("httptools", "uvicorn", "h11", "starlette", "granian", "hypercorn", "uvloop")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# --- what is served -----------------------------------------------------------------------------------------
SHOWN: Final = json.dumps({f"key{number:02}": "v" * 18 for number in range(10)}).encode()
HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"correlation-id", b"c" * 20),
]


async def plain(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """The application without a framework."""
    if scope["type"] != "http":
        return
    shown = SHOWN
    if scope["method"] == "PUT":
        shown, more = b"", True
        while more:
            message = await receive()
            shown += message.get("body", b"")
            more = message.get("more_body", False)
    length = (b"content-length", b"%d" % len(shown))
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": shown})


def layered() -> Any:
    """The same by Starlette, with a path as the register has it."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def endpoint(request: Request) -> Response:
        shown = await request.body() if request.method == "PUT" else SHOWN
        headers = {name.decode(): value.decode() for name, value in HEADERS[1:]}
        return Response(shown, headers=headers, media_type="application/json")

    path = "/api/v1/endpoints/{endpointId}/metadata/{metadataKey:path}"
    return Starlette(routes=[Route(path, endpoint, methods=["GET", "PUT"])])


def serve_ours(app: Any, port: int) -> None:
    """By our own server."""
    from kaa_epr.http.server import HttpServer, Options

    async def serve() -> None:
        options = Options("server", "bench", "127.0.0.1", port, 1024, 65536, 15.0, 1024)
        await HttpServer(app, options).start()
        await asyncio.Event().wait()

    uvloop.run(serve())


# --- contenders ---------------------------------------------------------------------------------------------
class Contender(NamedTuple):
    """One server with one kind of application."""

    title: str
    needs: Sequence[str]
    command: Sequence[str]
    """``{port}`` and ``{app}`` are filled in."""
    app: str


_UVICORN: Final = (
    *("-m", "uvicorn", "--loop", "uvloop", "--no-access-log", "--log-level", "error", "--lifespan", "off"),
    *("--limit-concurrency", "1024", "--timeout-keep-alive", "5", "--port", "{port}"),
)
_GRANIAN: Final = (
    "-m",
    "granian",
    "--interface",
    "asgi",
    "--loop",
    "uvloop",
    "--no-ws",
    "--log-level",
    "error",
)
_H11: Final = (*_UVICORN, "--http", "h11", "--h11-max-incomplete-event-size", "65536", "{app}")
_HTTPTOOLS: Final = (*_UVICORN, "--http", "httptools", "{app}")
_OURS: Final = ("bench/http_servers.py", "--serve", "{app}", "--port", "{port}")
CONTENDERS: Final = {
    "uvicorn-h11-starlette": Contender(
        "uvicorn, h11, Starlette (until bb310dd)", ["uvicorn"], _H11, "layered"
    ),
    "uvicorn-h11": Contender("uvicorn, h11", ["uvicorn"], _H11, "plain"),
    "uvicorn-httptools-starlette": Contender(
        "uvicorn, httptools, Starlette", ["uvicorn"], _HTTPTOOLS, "layered"
    ),
    "uvicorn-httptools": Contender("uvicorn, httptools", ["uvicorn"], _HTTPTOOLS, "plain"),
    "granian": Contender(
        "granian (threads of its own)", ["granian"], (*_GRANIAN, "--port", "{port}", "{app}"), "plain"
    ),
    "hypercorn": Contender(
        "hypercorn",
        ["hypercorn"],
        ("-m", "hypercorn", "-k", "uvloop", "-b", "127.0.0.1:{port}", "{app}"),
        "plain",
    ),
    "ours-starlette": Contender("ours, Starlette", [], _OURS, "layered"),
    "ours": Contender("ours, plain ASGI (in use)", [], _OURS, "plain"),
}


def command_of(contender: Contender, port: int) -> list[str]:
    """To start it."""
    app = contender.app
    if contender.needs:
        app = "bench.http_servers:plain" if app == "plain" else "bench.http_servers:layered_app"
    return [sys.executable, *(word.format(port=port, app=app) for word in contender.command)]


def __getattr__(name: str) -> Any:
    if name == "layered_app":
        return layered()
    raise AttributeError(name)


# --- load ---------------------------------------------------------------------------------------------------
_FIELDS: Final = (
    b" /api/v1/endpoints/endpoint-12345/metadata/key HTTP/1.1\r\nHost: bench:8090\r\nAccept: */*\r\n"
    b"User-Agent: bench/1\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
)
REQUESTS: Final = {
    "GET": b"GET" + _FIELDS + b"\r\n",
    "PUT": b"PUT" + _FIELDS + b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n1234567",
}
CONNECTIONS: Final = (64, 1)


class Client(asyncio.Protocol):
    """One request after another on one connection."""

    def __init__(self, request: bytes, latencies: list[float]) -> None:
        self._request = request
        self._latencies = latencies
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._read[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._read) < end + 4 + length:
            return
        assert head.startswith(b"http/1.1 200"), head
        self._read = b""
        self._latencies.append(time.perf_counter() - self._asked)
        self._ask()


async def measure(port: int, request: bytes, connections: int, seconds: float, pid: int) -> dict[str, float]:
    """Answers a second, the server's CPU for each, and the median latency."""
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(request, latencies), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds / 4)
    latencies.clear()
    begun, cpu = time.perf_counter(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    took, used, count = time.perf_counter() - begun, cpu_seconds(pid) - cpu, len(latencies)
    for client in clients:
        client.transport.abort()
    return {"per_second": count / took, "cpu_us": used / count * 1e6, "p50_us": median(latencies) * 1e6}


def cpu_seconds(pid: int) -> float:
    """Of a process and its descendants."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


async def round_of(contender: Contender, seconds: float) -> dict[str, dict[str, float]]:
    """One contender in a fresh process: by request and number of connections."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(command_of(contender, port), cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await _listening(port)
        return {
            f"{method}-{connections}": await measure(port, request, connections, seconds, process.pid)
            for method, request in REQUESTS.items()
            for connections in CONNECTIONS
        }
    finally:
        process.terminate()
        process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


# --- results ------------------------------------------------------------------------------------------------
def table(results: dict[str, Any]) -> str:
    """For the README."""
    columns = [f"{method}-{connections}" for method in REQUESTS for connections in CONNECTIONS]
    head = [
        "CPU µs a request (answers/s)",
        *(column.replace("-", " x ") for column in columns),
    ]
    rows = [head, ["---"] * len(head)]
    for name, rounds in results["contenders"].items():
        cells = []
        for column in columns:
            cpu = median(one[column]["cpu_us"] for one in rounds)
            cells.append(f"{cpu:.0f} ({median(one[column]['per_second'] for one in rounds):,.0f})")
        rows.append([CONTENDERS[name].title, *cells])
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    made = (
        f"Measured {results['started'][:10]} at commit {results['commit']}, on {results['machine']['cpu']}, "
    )
    made += f"{results['machine']['cores']} cores, load average {results['machine']['load_average']:.1f}; "
    made += f"{versions}. Medians of {results['rounds']} rounds."
    return made + "\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Run, store, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="measured for each figure of a round (1)")
    parser.add_argument("--serve", choices=["plain", "layered"], help="serve instead, by our own server")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.serve:
        serve_ours(plain if options.serve == "plain" else layered(), options.port)
        return 0
    results: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES if importlib.util.find_spec(name)},
        "rounds": options.rounds,
        "contenders": {},
    }
    there = [name for name, one in CONTENDERS.items() if all(map(importlib.util.find_spec, one.needs))]
    for number in range(options.rounds):
        for name in there if number % 2 == 0 else reversed(there):
            report = uvloop.run(round_of(CONTENDERS[name], options.seconds))
            results["contenders"].setdefault(name, []).append(report)
            print(
                number + 1, f"{name:<28}", *(f"{k} {v['cpu_us']:.0f}" for k, v in report.items()), flush=True
            )
    stamp = results["started"][:16].replace(":", "").replace("-", "")
    (RESULTS / f"http-{stamp}-{results['commit'].rstrip('+')}.json").write_text(
        json.dumps(results, indent=1) + "\n"
    )
    block = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    README.write_text(block.sub(lambda _: f"{BEGIN}\n{table(results)}\n{END}", README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
