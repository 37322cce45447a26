"""Hostile and odd configuration: taken, or refused with what is wrong and where, and never anything else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from kaa_epr.config.load import load
from kaa_epr.config.problems import ConfigError
from tests.support.hostile.corpus import Entry, corpus
from tests.support.hostile.made import made

SECONDS: Final = 10.0
"""Of computing, for the largest file that is read; what doubles with each line would never end."""
TAKEN: Final = 200


@pytest.mark.parametrize("entry", corpus("config_files"), ids=str)
def test_each_is_taken_or_refused_in_words(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "epr.yaml"
    path.write_bytes(made(entry.send["file"]))
    begun = time.process_time()
    problems = problems_of(path, entry.send.get("environ", {}))
    assert time.process_time() - begun < SECONDS
    said = "\n".join(problems)
    assert bool(problems) is (entry.status != (TAKEN,)), said[:1000]
    assert all(problem.startswith(entry.says) for problem in problems), said[:1000]
    assert "hunter2" not in said
    # It can be printed wherever it goes.
    assert said.encode()[:1] == said[:1].encode()


def problems_of(path: Path, environ: Mapping[str, str]) -> list[str]:
    """What is wrong with it; nothing else may be raised."""
    try:
        load(path, environ=environ)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []
