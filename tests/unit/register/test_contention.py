"""How much a thread is slowed down, as the kernel accounts for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa_epr.register.commit.contention import Contention

SPINNING = "import sys; print('on', flush=True)\nwhile True: pass"


@pytest.fixture
def account(tmp_path: Path) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("1000 5000 7\n")
    return path


def test_waiting_is_told_relative_to_running_and_the_latest_counts_most(account: Path) -> None:
    contention = Contention(account)
    account.write_text("1100 5050 8\n")
    assert contention.end() == pytest.approx(1.5)
    # What happens between two spans is not looked at.
    account.write_text("9000 9000 9\n")
    contention.begin()
    account.write_text("9050 9075 9\n")
    assert contention.end() == pytest.approx(1 + (25 + 75) / (50 + 50))


def test_a_span_without_running_says_nothing(account: Path) -> None:
    contention = Contention(account)
    assert contention.end() == 1.0


def test_without_an_account_nobody_is_slowed_down(tmp_path: Path) -> None:
    contention = Contention(tmp_path / "none")
    contention.begin()
    assert contention.end() == 1.0


@pytest.fixture
def shared_processor() -> Iterator[None]:
    """This thread has one processor, and another process runs on it all the time."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    try:
        with subprocess.Popen([sys.executable, "-c", SPINNING], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            try:
                yield
            finally:
                other.kill()
    finally:
        os.sched_setaffinity(0, all_of_them)


@pytest.mark.usefixtures("shared_processor")
def test_a_thread_that_shares_its_processor_sees_it() -> None:
    contention = Contention()
    deadline = time.monotonic() + 30
    slowed = 1.0
    while slowed < 1.3 and time.monotonic() < deadline:
        contention.begin()
        sum(range(1_000_000))
        slowed = contention.end()
    assert slowed >= 1.3
