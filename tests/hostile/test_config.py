"""Hostile and odd configuration: taken, or refused with what is wrong and where, and never anything else."""

from __future__ import annotations

import time
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
    try:
        load(path, environ=entry.send.get("environ", {}))
    except ConfigError as error:
        said = str(error)
        assert entry.status != (TAKEN,), said[:1000]
        assert all(str(problem).startswith(entry.says) for problem in error.problems), said[:1000]
        assert error.problems
        assert "hunter2" not in said
        said.encode()
    else:
        assert entry.status == (TAKEN,)
    assert time.process_time() - begun < SECONDS
