"""The judge of all other tests here: what it lets pass, and that it turns red for everything else."""

from __future__ import annotations

import time

import pytest

from tests.support.frames import Cutter
from tests.support.history import History
from tests.support.judge import Allowance, Answer, Judge
from tests.support.load import read_answer

CURRENT = Answer(200, 1, '"2"')


def written(deletes: bool = False) -> Judge:
    """Endpoint ``e`` with counter 1 acknowledged, ``nobody`` unknown."""
    history = History(["e"], unknown=["nobody"])
    history.acknowledge("e", history.begin("e", deletes=deletes))
    return Judge(history)


def judged(judge: Judge, *answers: Answer, endpoint_id: str = "e", replica: str | None = None) -> list[str]:
    """What is wrong with answers to gets that are sent now, one after the other."""
    for answer in answers:
        judge.answer(endpoint_id, time.monotonic_ns(), answer, replica)
    return judge.report.examples


def test_what_was_acknowledged_is_right_and_counted() -> None:
    judge = written()
    assert judged(judge, CURRENT, CURRENT) == []
    assert judge.check(least=2).statuses[200] == 2
    with pytest.raises(AssertionError, match="2 answers"):
        judge.check(least=3)


@pytest.mark.parametrize(
    ("answer", "endpoint_id", "reason"),
    [
        (Answer(200, 0, '"1"'), "e", "after newer was acknowledged"),
        (Answer(200, 2, '"3"'), "e", "never written"),
        (Answer(404, None, None), "e", "without what is stored"),
        (Answer(200, None, None), "e", "without what is stored"),
        (Answer(500, None, None), "e", "without what is stored"),
        (Answer(503, None, None), "e", "503"),
        (Answer(200, 0, None), "nobody", "never existed"),
        (Answer(404, None, None), "who", "never existed"),
    ],
)
def test_what_is_wrong_is_said(answer: Answer, endpoint_id: str, reason: str) -> None:
    judge = written()
    assert reason in judged(judge, answer, endpoint_id=endpoint_id)[0]
    with pytest.raises(AssertionError, match=reason):
        judge.check(least=0)


def test_unknown_endpoints_and_deletions_are_404() -> None:
    judge = written(deletes=True)
    gone = Answer(404, None, None)
    assert judged(judge, gone) == []
    assert judged(judge, gone, endpoint_id="nobody") == []
    judge.history.acknowledge("e", judge.history.begin("e"))
    assert "after newer was acknowledged" in judged(judge, gone)[0]


def test_a_get_that_was_under_way_may_show_either() -> None:
    history = History(["e"])
    judge = Judge(history)
    sent = time.monotonic_ns()
    counter = history.begin("e")
    judge.answer("e", sent, Answer(200, 0, '"1"'))
    history.acknowledge("e", counter)
    judge.answer("e", sent, Answer(200, 0, '"1"'))
    judge.answer("e", sent, CURRENT)
    judge.check(least=3)


def test_what_was_seen_is_not_taken_back() -> None:
    history = History(["e"])
    judge = Judge(history, Allowance(acknowledged=60, seen=60))
    history.begin("e")
    assert judged(judge, CURRENT, Answer(200, 0, '"1"'), replica=None) == []
    assert judged(judge, CURRENT, replica="r") == []
    assert "shown by this replica" in judged(judge, Answer(200, 0, '"1"'), replica="r")[0]


def test_what_was_never_committed_is_not_shown_before_or_after() -> None:
    for early in (True, False):
        history = History(["e"])
        judge = Judge(history)
        counter = history.begin("e")
        if early:
            assert judged(judge, CURRENT) == []
        judge.dropped("e", counter)
        assert (judge.report.violations == 1) is early
        assert judged(judge, CURRENT)


def test_one_value_has_one_version() -> None:
    assert "two eTags" in judged(written(), CURRENT, Answer(200, 1, '"3"'))[0]


def test_a_phase_allows_for_gets_that_touch_it_and_no_others() -> None:
    judge = written()
    before = time.monotonic_ns()
    stale, refused = Answer(200, 0, '"1"'), Answer(503, None, None)
    with judge.phase(Allowance(acknowledged=60, unavailable=True, unanswered=True)):
        assert judged(judge, stale, refused) == []
        judge.unanswered("e", before, "timed out")
    judge.answer("e", before, refused)
    judge.unanswered("e", before, "timed out")
    assert judge.report.violations == 0
    assert len(judged(judge, stale, refused)) == 2
    judge.unanswered("e", time.monotonic_ns(), "timed out")
    assert judge.report.violations == 3


def test_an_answer_is_read_as_it_is_on_the_wire() -> None:
    payload = b'\x02c\0\0\x02e\x02\x06"7"\x02\x0e{"n":5}\x90\x03\0\0'
    assert read_answer(payload) == (b"c", Answer(200, 5, '"7"'))


def test_items_are_cut_wherever_the_bytes_are_split() -> None:
    wire = b"INFO {}\r\nMSG a.b 1 3\r\nx\r\n\r\nHMSG a 2 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n"
    for size in range(1, len(wire) + 1):
        cutter = Cutter()
        items = [item for at in range(0, len(wire), size) for item in cutter.feed(wire[at : at + size])]
        assert b"".join(item.raw for item in items) == wire
        assert [(item.subject, item.payload) for item in items if item.subject] == [
            ("a.b", b"x\r\n"),
            ("a", b"hi"),
        ]
