"""A file of lines in batches, and the resume point between them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kaa_epr.mongo.transfer import resume
from kaa_epr.mongo.transfer.resume import Position, StateUnusable, load_position, save_position
from kaa_epr.mongo.transfer.source import Batch, Source


def line(endpoint_id: str, value: object = 1) -> bytes:
    return json.dumps({"endpointId": endpoint_id, "metadata": {"k": value}}).encode() + b"\n"


def batches(content: bytes, max_lines: int = 3, max_bytes: int = 10**6) -> list[Batch]:
    source = Source(io.BytesIO(content), 0, 0, max_lines, max_bytes)
    found = []
    while (batch := source.next_batch()) is not None:
        found.append(batch)
    assert source.next_batch() is None
    return found


def shape(found: list[Batch]) -> list[list[str]]:
    return [list(batch.good) for batch in found]


def test_bounded_in_lines() -> None:
    content = b"".join(line(f"e{i}") for i in range(7))
    found = batches(content)
    assert shape(found) == [["e0", "e1", "e2"], ["e3", "e4", "e5"], ["e6"]]
    assert [batch.lines for batch in found] == [3, 6, 7]
    assert found[-1].end == len(content)


def test_bounded_in_bytes() -> None:
    found = batches(line("a", "x" * 100) + line("b") + line("c"), max_bytes=100)
    assert shape(found) == [["a"], ["b", "c"]]


def test_an_endpoint_stands_once_in_a_batch() -> None:
    content = line("a", 1) + line("b") + line("a", 2) + line("a", 3)
    found = batches(content)
    assert shape(found) == [["a", "b"], ["a"], ["a"]]
    assert [batch.good["a"].endpoint.metadata["k"] for batch in found] == [1, 2, 3]
    assert [batch.good["a"].number for batch in found] == [1, 3, 4]
    assert found[-1].end == len(content)


def test_bad_blank_and_unterminated_lines_are_counted() -> None:
    content = b"\xef\xbb\xbf" + line("a") + b"\r\n\nnonsense\n" + line("b").rstrip()
    (batch,) = batches(content, max_lines=9)
    assert [good.number for good in batch.good.values()] == [1, 5]
    assert [(bad.number, bad.reason[:14]) for bad in batch.bad] == [(4, "line: not JSON")]
    assert (batch.end, batch.lines) == (len(content), 5)


def test_a_line_without_end_is_skipped_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaa_epr.mongo.transfer.source.MAX_LINE", 80)
    monkeypatch.setattr("kaa_epr.mongo.transfer.source._SKIP", 16)
    content = line("a") + b"x" * 500 + b"\n" + line("b") + b"y" * 81
    (batch,) = batches(content, max_lines=9)
    assert list(batch.good) == ["a", "b"]
    assert [tuple(bad[:2]) for bad in batch.bad] == [(2, "longer than 80 bytes"), (4, "longer than 80 bytes")]
    assert batch.end == len(content)


def test_nothing_in_the_file() -> None:
    assert batches(b"") == []


@pytest.fixture
def content() -> bytes:
    repeated = [line(f"e{i % 4}", i) if i % 5 else b"bad\n" for i in range(40)]
    return b"".join(repeated) + b"\n" + line("last").rstrip()


def test_going_on_at_any_batch_gives_the_same_lines(content: bytes, tmp_path: Path) -> None:
    whole = batches(content)
    file = io.BytesIO(content)
    for done, batch in enumerate(whole, 1):
        save_position(tmp_path / "state", Position(batch.end, batch.lines), file, "target")
        position = load_position(tmp_path / "state", file, "target")
        source = Source(file, position.offset, position.lines, 3, 10**6)
        rest = []
        while (next_batch := source.next_batch()) is not None:
            rest.append(next_batch)
        assert rest == whole[done:]


def test_a_position_counts_for_the_same_file_and_target_only(content: bytes, tmp_path: Path) -> None:
    state, position = tmp_path / "state", Position(100, 3, 1, 1, 0, 1)
    file = io.BytesIO(content)
    file.seek(17)
    save_position(state, position, file, "target")
    assert file.tell() == 17
    assert load_position(state, file, "target") == position
    assert file.tell() == 100
    assert load_position(state, io.BytesIO(content + b"more\n"), "target") == position
    assert load_position(state, file, "elsewhere") == Position()
    assert load_position(state, io.BytesIO(b"X" + content[1:]), "target") == Position()
    assert load_position(state, io.BytesIO(content[:99] + b"X" + content[100:]), "target") == Position()
    assert load_position(state, io.BytesIO(content[:50]), "target") == Position()
    assert load_position(tmp_path / "none", file, "target") == Position()
    assert file.tell() == 0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"position": {"offset": 1}}', '{"position": 5}', '{"position": {"nonsense": 1}}'],
)
def test_a_foreign_state_file_is_left_alone(text: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text(text)
    with pytest.raises(StateUnusable, match="state"):
        load_position(state, io.BytesIO(b""), "target")
    assert state.read_text() == text


@pytest.mark.parametrize("number", [-1, "1", 1.5, True, None])
def test_numbers_that_are_none_are_refused(number: object, tmp_path: Path) -> None:
    state = tmp_path / "state"
    save_position(state, Position(), io.BytesIO(b""), "target")
    saved = json.loads(state.read_text())
    saved["position"]["lines"] = number
    state.write_text(json.dumps(saved))
    with pytest.raises(StateUnusable):
        load_position(state, io.BytesIO(b""), "target")


def test_where_the_state_is_kept() -> None:
    assert resume.default_state_path(Path("a/b.jsonl")) == Path("a/b.jsonl.import-state")
