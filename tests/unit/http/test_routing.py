"""Paths and queries: each text has its URL, and no other text has it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.http.routing import NotAllowed, NotFound, Routes, query_values
from kaa_epr.refusals import Invalid, Refusal

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
HARD = st.text(st.sampled_from("/%.\n\r\0 +?#&=;\\~aé\u2028\U0001f600"), max_size=8)


def routes() -> Routes[str]:
    made = Routes[str]()
    for method, template in (
        ("GET", "/e"),
        ("POST", "/e"),
        ("POST", "/e/batch"),
        ("GET", "/e/batch/status"),
        ("GET", "/e/{id}"),
        ("DELETE", "/e/{id}"),
        ("GET", "/e/{id}/metadata"),
        ("GET", "/e/{id}/metadata/{key...}"),
        ("PUT", "/e/{id}/metadata/{key...}"),
    ):
        made.add(method, template, template)
    return made


ROUTES = routes()


def found(method: str, path: str) -> tuple[str, dict[str, str]] | Refusal:
    try:
        match = ROUTES.find(method, path.encode())
    except Refusal as refusal:
        return refusal
    return match.target, dict(match.parts)


@pytest.mark.parametrize(
    ("method", "path", "template", "parts"),
    [
        ("GET", "/e", "/e", {}),
        ("HEAD", "/e", "/e", {}),
        ("GET", "/%65", "/e", {}),
        ("POST", "/e/batch", "/e/batch", {}),
        ("GET", "/e/batch", "/e/{id}", {"id": "batch"}),
        ("DELETE", "/e/batch", "/e/{id}", {"id": "batch"}),
        ("GET", "/e/batch/status", "/e/batch/status", {}),
        ("GET", "/e/batch/metadata", "/e/{id}/metadata", {"id": "batch"}),
        ("GET", "/e/a%2Fb", "/e/{id}", {"id": "a/b"}),
        ("GET", "/e/%2E%2e", "/e/{id}", {"id": ".."}),
        ("GET", "/e/...", "/e/{id}", {"id": "..."}),
        ("GET", "/e/a%250a", "/e/{id}", {"id": "a%0a"}),
        ("GET", "/e/a%0A", "/e/{id}", {"id": "a\n"}),
        ("GET", "/e/a+b", "/e/{id}", {"id": "a+b"}),
        ("GET", "/e/i/metadata/k", "/e/{id}/metadata/{key...}", {"id": "i", "key": "k"}),
        ("GET", "/e/i/metadata/a/b", "/e/{id}/metadata/{key...}", {"id": "i", "key": "a/b"}),
        ("GET", "/e/i/metadata/a%2fb", "/e/{id}/metadata/{key...}", {"id": "i", "key": "a/b"}),
        ("GET", "/e/i/metadata/a/", "/e/{id}/metadata/{key...}", {"id": "i", "key": "a/"}),
        ("GET", "/e/i/metadata//a", "/e/{id}/metadata/{key...}", {"id": "i", "key": "/a"}),
        ("GET", "/e/i/metadata//", "/e/{id}/metadata/{key...}", {"id": "i", "key": "/"}),
        ("GET", "/e/i/metadata/metadata", "/e/{id}/metadata/{key...}", {"id": "i", "key": "metadata"}),
    ],
)
def test_paths_that_lead_somewhere(method: str, path: str, template: str, parts: dict[str, str]) -> None:
    assert found(method, path) == (template, parts)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/E",
        "/e/",
        "//e",
        "/e//metadata",
        "/e/i/metadata/",
        "/e/i/",
        "/e/i/other",
        "/e/i%2Fmetadata/k",
    ],
)
def test_paths_that_lead_nowhere(path: str) -> None:
    assert isinstance(found("GET", path), NotFound)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/e/batch", "DELETE, GET, HEAD, POST"),
        ("POST", "/e/i", "DELETE, GET, HEAD"),
        ("DELETE", "/e/i/metadata/k", "GET, HEAD, PUT"),
        ("HEAD", "/e/batch", None),
        ("OPTIONS", "/e", "GET, HEAD, POST"),
        ("get", "/e", "GET, HEAD, POST"),
    ],
)
def test_methods_that_a_path_does_not_have(method: str, path: str, allowed: str | None) -> None:
    outcome = found(method, path)
    if allowed is None:
        assert not isinstance(outcome, Refusal)
    else:
        assert isinstance(outcome, NotAllowed)
        assert outcome.allowed == allowed


@pytest.mark.parametrize(
    "path",
    [
        *("/e/.", "/e/..", "/./e", "/e/../e", "/e/i/metadata/a/../b", "/e/i/metadata/."),
        *(
            "/e/%",
            "/e/%4",
            "/e/%zz",
            "/e/%+1",
            "/e/%1_",
            "/e/a%",
            "/e/%ff",
            "/e/%c3",
            "/e/%ed%a0%80",
            "/e/%c0%af",
        ),
    ],
)
def test_paths_without_one_meaning_are_refused(path: str) -> None:
    outcome = found("GET", path)
    assert isinstance(outcome, Invalid)
    assert outcome.field == "path"


def test_what_is_there_is_not_put_there_again() -> None:
    with pytest.raises(ValueError, match=re.escape("GET /e/{name} is there already")):
        routes().add("GET", "/e/{name}", "")


def test_the_server_as_a_whole_has_all_methods() -> None:
    assert routes().allowed == "DELETE, GET, HEAD, OPTIONS, POST, PUT"


# --- any text -----------------------------------------------------------------------------------------------
def escaped(text: str) -> str:
    """A part of a path, as careful clients write it: with dots that would be a direction escaped too."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


@given(st.one_of(TEXTS, HARD), st.one_of(TEXTS, HARD))
def test_every_text_is_reached_by_its_url(endpoint_id: str, key: str) -> None:
    outcome = found("GET", f"/e/{escaped(endpoint_id)}/metadata/{escaped(key)}")
    if endpoint_id and key:
        assert outcome == ("/e/{id}/metadata/{key...}", {"id": endpoint_id, "key": key})
    else:
        assert isinstance(outcome, NotFound)


@given(st.one_of(TEXTS, HARD), st.text(st.sampled_from("%0aAfF2Ee/.+\n"), max_size=12))
def test_no_other_url_reaches_a_text(key: str, path: str) -> None:
    """Whatever a URL is made of: it reaches a key only if it is one of that key's own spellings."""
    outcome = found("GET", "/e/i/metadata/" + path)
    if isinstance(outcome, Refusal) or "key" not in outcome[1]:
        return
    reached = outcome[1]["key"]
    # Decoding is the only thing that was done, and once.
    assert quote(reached, safe="/.+%\n") == quote(decoded_once(path), safe="/.+%\n")
    assert (reached == key) == (decoded_once(path) == key)


def decoded_once(path: str) -> str:
    raw = path.encode()
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] == ord("%"):
            out.append(int(raw[at + 1 : at + 3], 16))
            at += 3
        else:
            out.append(raw[at])
            at += 1
    return out.decode()


@given(st.lists(st.tuples(st.one_of(TEXTS, HARD), st.one_of(TEXTS, HARD)), max_size=5))
def test_queries_say_what_was_put_into_them(pairs: list[tuple[str, str]]) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        if name:
            expected.setdefault(name, []).append(value)
    for encoded in (urlencode(pairs), urlencode(pairs, quote_via=quote)):
        assert query_values(encoded.encode()) == expected


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", {}),
        (b"a", {"a": [""]}),
        (b"a=", {"a": [""]}),
        (b"a=b=c", {"a": ["b=c"]}),
        (b"&&a=1&&a=2&", {"a": ["1", "2"]}),
        (b"=1", {}),
        (b"a+b=c+d%2B", {"a b": ["c d+"]}),
        (b"a;b", {"a;b": [""]}),
    ],
)
def test_queries(query: bytes, values: dict[str, Any]) -> None:
    assert query_values(query) == values


@pytest.mark.parametrize("query", [b"a=%", b"a=%ff", b"%zz=1", b"a=%ed%b0%80"])
def test_queries_without_one_meaning_are_refused(query: bytes) -> None:
    with pytest.raises(Invalid, match=r"^query: "):
        query_values(query)
