"""The shipped schemas: every file is found, parses, and has the parsing canonical form that was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pytest
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from kaa_epr import schemas

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_package_carries_every_file_of_the_schemas_folder() -> None:
    folder = REPOSITORY / "schemas"
    files = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.avsc")}
    assert set(schemas.names()) == files
    assert len(files) == 22


def test_every_schema_has_recorded_fingerprints_and_no_others_are_recorded() -> None:
    assert set(schemas.fingerprints()) == set(schemas.names())


@pytest.mark.parametrize("name", schemas.names())
def test_parsing_canonical_form_is_the_recorded_one(name: str) -> None:
    canonical = to_parsing_canonical_form(schemas.load(name))
    computed = {algorithm: fingerprint(canonical, algorithm) for algorithm in ("CRC-64-AVRO", "SHA-256")}
    assert schemas.fingerprints()[name] == computed


@pytest.mark.parametrize("name", schemas.names())
def test_every_schema_parses_and_is_described_in_the_readme(name: str) -> None:
    fastavro.schema.parse_schema(schemas.load(name))
    readme = (REPOSITORY / "schemas" / "README.md").read_text(encoding="utf-8")
    stem = name.rpartition("/")[2]
    assert stem.removesuffix("-response").removesuffix("-request") in readme


def test_revisions_differ_only_where_the_protocol_says() -> None:
    def fields(name: str) -> list[str]:
        return [field["name"] for field in schemas.load(name)["fields"]]

    request, response = (f"epmmp/0019-endpoint-metadata-get-{kind}" for kind in ("request", "response"))
    assert fields(f"{request}.rev1") == fields(f"{request}.rev2")
    assert fields(f"{request}.rev3") == [*fields(f"{request}.rev2"), "includeMetadata"]
    assert fields(f"{response}.rev3") == [*fields(f"{response}.rev2"), "appVersionName"]
    assert [name for name in fields(f"{response}.rev2") if name != "eTag"] == fields(f"{response}.rev1")


def test_load_gives_each_caller_a_copy_and_text_the_file() -> None:
    name = "events/0009-ep-registered"
    schemas.load(name)["fields"].clear()
    assert schemas.load(name) == json.loads(schemas.text(name))
    parsed = parse_schema(schemas.load(name))
    assert isinstance(parsed, dict)
    assert parsed["name"].endswith("RegisteredEvent")


@pytest.mark.parametrize("name", ["", "fingerprints", "../pyproject", "epmmp/../events/0009-ep-registered"])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        schemas.load(name)
