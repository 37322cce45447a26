"""Between a parent and its workers nobody waits for the other to read."""

from __future__ import annotations

import multiprocessing

import pytest

from kaa_epr.workers.pipes import BEAT, send


def test_what_finds_no_room_is_left_out_and_what_was_sent_arrives_whole() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        sent = 0
        while send(ours, (BEAT, sent)):
            sent += 1
        assert sent > 10
        assert [theirs.recv() for _ in range(sent)] == [(BEAT, number) for number in range(sent)]
        assert not theirs.poll()
        assert send(ours, BEAT), "there is room again"


def test_a_side_that_is_gone_is_told_of() -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    with ours, pytest.raises(OSError, match="Broken pipe"):
        send(ours, BEAT)
