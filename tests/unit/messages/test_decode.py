"""Captured messages: by subject, by name, guessed; what comes out is JSON."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from kaa_epr import schemas
from kaa_epr.messages import capture
from kaa_epr.messages.decode import (
    AmbiguousMessage,
    UndecodableMessage,
    decode_message,
)
from kaa_epr.messages.kinds import UnknownKind, all_kinds, by_name, by_subject

NOW_MS = 1_700_000_000_000
HEADER = {"correlationId": "c-1", "timestamp": NOW_MS, "timeout": 0}
EVENT = {**HEADER, "appVersionName": "v1", "endpointId": "e-1", "originatorReplicaId": "r-1"}
ANSWER = {**HEADER, "endpointId": "e-1", "statusCode": 200, "reasonPhrase": None}


def encode(name: str, fields: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schemas.load(name), fields, strict=True)
    return buffer.getvalue()


def response(revision: int, **fields: Any) -> bytes:
    extra: dict[str, Any] = {"payload": None}
    if revision >= 2:
        extra["eTag"] = '"7"'
    if revision >= 3:
        extra["appVersionName"] = "v1"
    name = f"epmmp/0019-endpoint-metadata-get-response.rev{revision}"
    return encode(name, {**ANSWER, **extra, **fields})


def test_every_schema_has_a_kind_with_a_unique_name() -> None:
    assert sum(len(kind.revisions) for kind in all_kinds()) == len(schemas.names())
    names = [kind.name for kind in all_kinds()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("revision", [1, 2, 3])
@pytest.mark.parametrize("status", [200, 400, 404, 413, 500, 503])
def test_revisions_of_an_answer_are_told_apart(revision: int, status: int) -> None:
    payload = b'{"a":1}' if status == 200 else None
    reason = None if status == 200 else "why"
    captured = response(revision, statusCode=status, payload=payload, reasonPhrase=reason)
    message = decode_message(captured, subject="kaa.v1.replica.r.epmmp.ep-metadata-get-response")
    assert message.revisions == (revision,)
    assert message.fields["statusCode"] == status
    assert message.fields["payload"] == ({"a": 1} if status == 200 else None)


def test_requests_of_revision_1_and_2_are_the_same_bytes() -> None:
    fields = {**HEADER, "endpointId": "e", "include": ["a"]}
    name = "epmmp/0019-endpoint-metadata-get-request.rev"
    subject = "kaa.v1.service.epr.epmmp.ep-metadata-get-request"
    assert decode_message(encode(name + "1", fields), subject=subject).revisions == (1, 2)
    with_flag = encode(name + "3", {**fields, "includeMetadata": False})
    message = decode_message(with_flag, subject=subject)
    assert message.revisions == (3,)
    assert message.as_json() == {
        "kind": "endpoint-metadata-get-request",
        "record": "org.kaaproject.ipc.epmmp.gen.v1.EndpointMetadataGetRequest",
        "rfc": "19/EPMMP",
        "revision": 3,
        "message": {**fields, "includeMetadata": False},
    }


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b'{"k":[1,2.5,null,"\xc3\xa9"]}', {"k": [1, 2.5, None, "é"]}),
        (b"", {"base64": ""}),
        (b"\xff\x00", {"base64": "/wA="}),
        (b'{"k":NaN}', {"base64": base64.b64encode(b'{"k":NaN}').decode()}),
        (b"1e999", {"base64": base64.b64encode(b"1e999").decode()}),
        (b"[" * 200_000, {"base64": base64.b64encode(b"[" * 200_000).decode()}),
    ],
)
def test_metadata_bytes_are_shown_as_json_or_base64(payload: bytes, shown: Any) -> None:
    message = decode_message(response(3, payload=payload), kind="EndpointMetadataGetResponse")
    assert message.fields["payload"] == shown
    json.dumps(message.as_json(), allow_nan=False)


def test_bytes_in_lists_of_records_are_shown_too() -> None:
    command = {"endpointId": "e", "metadataKey": "k", "metadataValue": b'"v"'}
    captured = encode(
        "epmmp/0019-endpoint-metadata-key-batch-update-request", {**HEADER, "commands": [command]}
    )
    message = decode_message(captured)
    assert message.fields["commands"] == [{**command, "metadataValue": "v"}]


def test_an_event_is_told_by_its_subject() -> None:
    captured = encode("events/0009-ep-unregistered", EVENT)
    message = decode_message(captured, subject="kaa.v1.events.epr.endpoint.lifecycle.unregistered")
    assert (message.kind, message.rfc) == ("ep-unregistered", "9/ELCE")
    assert message.fields == EVENT


def test_a_kind_goes_by_any_of_its_names() -> None:
    captured = encode("events/0009-ep-registered", EVENT)
    for name in ("ep-registered", "RegisteredEvent", "endpoint.lifecycle.registered", "REGISTEREDEVENT"):
        assert decode_message(captured, kind=name).kind == "ep-registered"


def test_a_guess_lists_the_candidates() -> None:
    with pytest.raises(AmbiguousMessage) as caught:
        decode_message(encode("events/0009-ep-registered", EVENT))
    assert [candidate.kind for candidate in caught.value.candidates] == ["ep-registered", "ep-unregistered"]
    assert "ep-registered (revision 1), ep-unregistered (revision 1)" in str(caught.value)


def test_a_guess_finds_what_only_one_kind_fits() -> None:
    event = {**EVENT, "previousAppVersionName": "v0"}
    assert decode_message(encode("events/0009-ep-appversion-updated", event)).kind == "ep-appversion-updated"
    foreign_reply = "_INBOX.x.y"
    assert decode_message(response(3), subject=foreign_reply).kind == "endpoint-metadata-get-response"


def test_a_batch_answer_shares_its_subject_with_the_single_one() -> None:
    subject = "kaa.v1.replica.r.epmmp.ep-metadata-key-update-response"
    assert len(by_subject(subject)) == 2
    batch = {**HEADER, "statusCode": 200, "reasonPhrase": None}
    captured = encode("epmmp/0019-endpoint-metadata-key-batch-update-response", batch)
    assert decode_message(captured, subject=subject).kind == "endpoint-metadata-key-batch-update-response"


def test_what_does_not_decode_is_told_by_byte_and_field() -> None:
    captured = response(3)[:-1]
    with pytest.raises(UndecodableMessage) as caught:
        decode_message(captured, kind="ep-metadata-get-response")
    assert "(revision 3): payload ends early at byte" in str(caught.value)
    assert "in field appVersionName" in str(caught.value)
    offsets = [failure.error.offset for failure in caught.value.failures]
    assert offsets == sorted(offsets, reverse=True)
    with pytest.raises(UndecodableMessage, match="more that fail earlier"):
        decode_message(b"\x01")


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(UnknownKind, match="registeredevent"):
        by_name("RegistredEvent")
    with pytest.raises(UnknownKind) as caught:
        by_name("qqqqqq")
    assert caught.value.nearest == ()


@pytest.mark.parametrize(
    "subject", ["", "kaa.v1", "kaa.v2.events.epr.endpoint.metadata.updated", "a.b.c.d.e"]
)
def test_foreign_subjects_tell_nothing(subject: str) -> None:
    assert by_subject(subject) == ()


@pytest.mark.parametrize("text", ["02FF", "02 ff", "0x02 0xff", r"\x02\xff", "02:ff\n", "02, ff"])
def test_hexadecimal_text(text: str) -> None:
    assert capture.from_hex(text) == b"\x02\xff"


@pytest.mark.parametrize("text", ["0", "0g", "02f"])
def test_wrong_hexadecimal_text(text: str) -> None:
    with pytest.raises(capture.CaptureError, match="hexadecimal"):
        capture.from_hex(text)


@pytest.mark.parametrize("text", ["-_8=", "+/8=", "+/8", " +/\n8= "])
def test_base64_text(text: str) -> None:
    assert capture.from_base64(text) == b"\xfb\xff"


@pytest.mark.parametrize("text", ["!", "a", "=a=a", "é"])
def test_wrong_base64_text(text: str) -> None:
    with pytest.raises(capture.CaptureError, match="not base64"):
        capture.from_base64(text)


def test_files_and_their_errors(tmp_path: Path) -> None:
    path = tmp_path / "captured"
    path.write_bytes(b"\x00\x01")
    assert capture.from_file(path) == b"\x00\x01"
    with pytest.raises(capture.CaptureError, match="No such file"):
        capture.from_file(tmp_path / "absent")
    with pytest.raises(capture.CaptureError, match="directory"):
        capture.from_file(tmp_path)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"\x07")

    monkeypatch.setattr("sys.stdin", Stdin)
    assert capture.from_file("-") == b"\x07"


def test_input_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(capture, "MAX_DATUM_BYTES", 3)
    path = tmp_path / "captured"
    path.write_bytes(b"1234")
    with pytest.raises(capture.CaptureError, match="more than 3 bytes"):
        capture.from_file(path)
    with pytest.raises(capture.CaptureError, match="more than 3 bytes"):
        capture.from_hex("00" * 4)
