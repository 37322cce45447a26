"""Hostile and odd lines of an import: each is judged by itself, and the good ones between are imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo.collection import Collection

from kaa_epr.embedded import MongoServer, NatsServer
from tests.support.command import run
from tests.support.hostile.attack import Attack, placed
from tests.support.hostile.corpus import Entry, corpus
from tests.support.hostile.made import made
from tests.support.hostile.watched import Watched, complaints

VERDICT: Final = re.compile(r"^line (\d+)(?: \([^)]*\))?: (.*)$", re.MULTILINE)
GOOD: Final = 200


def ids(count: int, prefix: str) -> list[str]:
    return [f"{prefix}{number:02x}" for number in range(count)]


def lines(entries: list[Entry], victims: list[str]) -> bytes:
    """Each entry's line, and behind it one of an endpoint that is as it should be."""
    good = '{"endpointId":"good-#","metadata":{"n":#}}\n'
    return b"".join(
        placed(made(entry.send["line"]), victim) + b"\n" + made(good, number)
        for number, (entry, victim) in enumerate(zip(entries, victims, strict=True))
    )


def verdicts(output: str) -> dict[int, str]:
    """What was said of lines that were left out, by the entry that they are of."""
    return {(int(number) - 1) // 2: reason for number, reason in VERDICT.findall(output)}


@pytest.mark.parametrize("options", [(), ("--no-events",)], ids=["through the register", "into MongoDB only"])
async def test_each_line_is_judged_by_itself(
    attack: Attack,
    service: Watched,
    endpoints: Collection[dict[str, Any]],
    nats_server: NatsServer,
    mongod: MongoServer,
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    entries = list(corpus("import_lines"))
    victims = ids(len(entries), "n" if options else "v")
    file = tmp_path / "lines.jsonl"
    file.write_bytes(lines(entries, victims))
    config = ("--config", str(service.config))
    done = run("import", str(file), *config, *options)
    said = verdicts(done.stderr + done.stdout)
    assert done.returncode == 1, done.stderr[-2000:]
    wrong = []
    for number, (entry, victim) in enumerate(zip(entries, victims, strict=True)):
        status = entry.send.get("no_events", entry.status) if options else entry.status
        reason = said.get(number)
        if (reason is None) is not (GOOD in status) or not (reason or entry.says).startswith(entry.says):
            wrong.append(f"{entry.name}: {reason}")
        elif reason is None and entry.then is not None:
            stored = await attack.metadata(victim)
            if stored != made(entry.then):
                wrong.append(f"{entry.name}: {stored[:200]!r}")
    assert not wrong, "\n".join(wrong)
    imported = {document["_id"]: document for document in endpoints.find({"_id": {"$regex": "^good-"}})}
    assert len(imported) == len(entries)
    assert all(imported[f"good-{n}"]["metadata"] == [{"key": "n", "value": n}] for n in range(len(entries)))
    assert not complaints(service.told())
