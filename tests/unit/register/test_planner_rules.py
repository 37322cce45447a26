"""What planners refuse, and what waits."""

from __future__ import annotations

import re
from typing import Any

import bson
import pytest

from kaa_epr.refusals import (
    InternalError,
    Invalid,
    KeyUnknown,
    PatchConflict,
    PreconditionFailed,
    Refusal,
    Restricted,
    Superseded,
    TooLarge,
)
from kaa_epr.register.decide.api import (
    MAX_OUTBOX_BYTES,
    Command,
    OnlyAt,
    Outcome,
    PlanLimits,
    Planner,
    Request,
    Show,
    Work,
)
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.intake.pure_value import PureValue
from tests.property.documents import NULL, Raw, document, text
from tests.support.planning import (
    AUTHOR,
    CLAIM,
    NOW,
    NOW_MS,
    items,
    known,
    metadata_updated,
    nested,
    only_event,
    patch,
    plan,
    planner,
    register,
)

RULES = Rules(
    max_keys=3,
    max_key_length=5,
    max_depth=4,
    max_metadata_bytes=200,
    key_pattern=re.compile("[a-z]+"),
    restricted={"app": ["lock"], "*": ["all"], "other": ["mine"]},
)


def _refused(engine: Planner) -> list[tuple[Command, type[Refusal], str]]:
    def put(**values: Any) -> Command:
        return engine.put_keys(items(values))

    return [
        (put(**{"": 1}), Invalid, "metadata: a key is empty"),
        (put(A=1), Invalid, r"metadata.A: the key does not match [a-z]+"),
        (put(**{"a\n": 1}), Invalid, r"metadata.a\n: the key does not match [a-z]+"),
        (put(abcdef=1), Invalid, "metadata: a key is longer than 5 characters"),
        (put(a=1, b=1, c=1, d=1), TooLarge, "metadata: more than 3 keys"),
        (put(a=nested(5)), Invalid, "metadata.a: nested too deeply"),
        (put(a="x" * 200), TooLarge, "metadata: takes 243 bytes, at most 200 are stored"),
        (put(lock=1), Restricted, "metadata.lock: the key is restricted"),
        (put(all=1), Restricted, "metadata.all: the key is restricted"),
        (
            patch(engine, [{"op": "remove", "path": ""}]),
            Invalid,
            "patch: what it makes of the metadata is not an object",
        ),
        (patch(engine, [{"op": "remove", "path": "/x"}]), PatchConflict, "patch[0]: no such location"),
        (engine.delete_key("none"), KeyUnknown, "Metadata key not found"),
        (engine.set_app_version("app", "x" * 2000), Invalid, "appVersion.name: longer than 1024 bytes"),
        (engine.set_app_version("", "x"), Invalid, "application: is empty"),
        (engine.set_app_version("a\0", "x"), Invalid, "application: holds a NUL character"),
    ]


@pytest.mark.parametrize("case", range(15))
def test_refusals_name_the_field_and_no_value(engine: Planner, case: int) -> None:
    strict = planner(engine.name, RULES)
    command, error, text = _refused(strict)[case]
    with pytest.raises(error) as caught:
        plan(strict, known(), command).outcome()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"endpoint_token": "to/ken"}, Invalid, "endpointToken: the characters + # / . are not allowed"),
        ({"metadata": {"lock": 1}}, Restricted, "metadata.lock: the key is restricted"),
        ({"metadata": {"a": "x" * 200}}, TooLarge, "metadata: takes 243 bytes, at most 200 are stored"),
    ],
)
def test_registrations_are_judged(
    engine: Planner, wrong: dict[str, Any], error: type[Refusal], text: str
) -> None:
    strict = planner(engine.name, RULES)
    with pytest.raises(error) as caught:
        plan(strict, None, register(strict, **wrong)).outcome()
    assert str(caught.value) == text


def test_what_a_command_brings_is_judged_by_itself(engine: Planner) -> None:
    strict = planner(engine.name, RULES)
    with pytest.raises(TooLarge, match="takes"):
        strict.check(strict.replace_metadata(items({"a": "x" * 200})))
    with pytest.raises(Invalid, match=r"^patch\[1\]\.value: nested too deeply"):
        strict.check(
            patch(strict, [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/a", "value": nested(5)}])
        )
    strict.check(strict.put_keys(items({"a": nested(4)})))
    strict.check(strict.unregister())


def test_restricted_keys_may_stay_as_they_are(engine: Planner) -> None:
    strict = planner(engine.name, RULES)
    stored = known(lock=1, a=1)
    assert plan(strict, stored, strict.replace_metadata(items({"lock": 1, "a": 2}))).outcome().changed
    assert plan(strict, stored, strict.put_keys(items({"mine": 2}))).outcome().changed
    for command in (
        strict.replace_metadata(items({"a": 2})),
        strict.delete_key("lock"),
        strict.put_keys(items({"lock": 2})),
    ):
        with pytest.raises(Restricted):
            plan(strict, stored, command).outcome()
    assert plan(strict, stored, strict.unregister()).outcome().changed


def test_stored_keys_are_not_judged_again(engine: Planner) -> None:
    strict = planner(engine.name, RULES)
    stored = known(UPPER=nested(9), a=1)
    assert plan(strict, stored, strict.put_keys(items({"a": 2}))).outcome().changed
    assert plan(strict, stored, strict.set_app_version("app", "app-v2")).outcome().changed


def test_commands_wait_for_room_in_the_outbox(engine: Planner) -> None:
    commands = [engine.put_keys(items({"a": n})) for n in range(5)]
    done = plan(engine, known(), *commands, limits=PlanLimits(10_000, max_outbox=2))
    assert (len(done.outcomes), len(done.events)) == (2, 2)
    large = [engine.put_keys(items({"a": f"{n}" * (MAX_OUTBOX_BYTES // 9)})) for n in range(9)]
    roomy = planner(engine.name, Rules(max_metadata_bytes=8 * 1024 * 1024))
    done = plan(roomy, known(), *large, limits=PlanLimits(MAX_OUTBOX_BYTES))
    assert 3 < len(done.outcomes) < 9


def test_one_endpoint_has_no_more_than_its_share_of_work(engine: Planner) -> None:
    roomy = planner(engine.name, Rules(max_metadata_bytes=8 * 1024 * 1024))
    stored = known(large="x" * 3 * 1024 * 1024)
    done = plan(roomy, stored, *[patch(roomy, [])] * 9)
    assert len(done.outcomes) == 1


def test_a_call_ends_behind_the_endpoint_that_exceeds_its_work(engine: Planner) -> None:
    request = Request(engine.put_keys(items({"a": 1})), "c")
    work = [Work(f"e{n}", bson.encode({"_id": f"e{n}"}), [request]) for n in range(100)]
    plans = engine.plan(work, AUTHOR, CLAIM, PlanLimits(10_000, work=1000))
    assert 1 < len(plans) < 20
    assert sum(each.work for each in plans[:-1]) < 1000 <= sum(each.work for each in plans)
    assert len(engine.plan(work, AUTHOR, CLAIM, PlanLimits(10_000, work=0))) == 1


def test_an_event_that_nats_does_not_take_is_refused_and_the_others_are_not(engine: Planner) -> None:
    large, small = (engine.put_keys(items({"a": text})) for text in ("x" * 500, "x"))
    done = plan(engine, known(), large, small, limits=PlanLimits(300))
    refusal, outcome = done.outcomes
    assert isinstance(refusal, TooLarge)
    assert re.fullmatch(r"metadata: the change's event takes \d+ bytes, NATS takes 300", str(refusal))
    assert isinstance(outcome, Outcome)
    assert outcome.version == 8


@pytest.mark.parametrize(
    ("more", "holds"),
    [
        ({"if_match": '"7"'}, True),
        ({"if_match": "7"}, True),
        ({"if_match": ' W/"7", "6" '}, False),
        ({"if_match": '"6" , "7"'}, True),
        ({"if_match": " * "}, True),
        ({"if_match": "*", "key": "new"}, False),
        ({"if_none_match": "*", "key": "new"}, True),
        ({"if_none_match": "*", "key": "a"}, False),
        ({"if_none_match": '"6"'}, True),
        ({"if_none_match": 'W/"7"'}, False),
        ({"if_match": ""}, False),
    ],
)
def test_conditions(engine: Planner, more: dict[str, Any], holds: bool) -> None:
    request = Request(engine.put_keys(items({"new": 1})), "c-1", **more)
    if holds:
        assert plan(engine, known(a=1), request).outcome().changed
    else:
        with pytest.raises(PreconditionFailed):
            plan(engine, known(a=1), request).outcome()


def test_conditions_see_what_earlier_commands_did(engine: Planner) -> None:
    requests = [Request(engine.put_keys(items({"a": n})), "c-1", if_match='"7"') for n in range(2)]
    first, second = plan(engine, known(), *requests).outcomes
    assert isinstance(first, Outcome)
    assert isinstance(second, PreconditionFailed)


def test_a_second_try_changes_nothing_but_where_the_first_began(engine: Planner) -> None:
    command = engine.put_keys(items({"a": 1}))
    for version, outcome in ((7, True), (6, None), (None, None)):
        done = plan(engine, known(), Request(command, "c-1", only_at=OnlyAt(version)))
        assert isinstance(done.outcomes[0], Outcome if outcome else Superseded)
    done = plan(engine, known(a=1), Request(command, "c-1", only_at=OnlyAt(6)))
    assert done.outcome() == Outcome(changed=False, version=7)


def test_answers_show_what_was_asked_for_as_it_was_then(engine: Planner) -> None:
    def put(value: Any, show: Show) -> Request:
        return Request(engine.put_keys(items({"k": value})), "c-1", key="k", show=show)

    done = plan(
        engine,
        known(a={"$ref": "x", "$id": 1}) | {"app_version_registered_at": NOW},
        put(1, Show.KEY),
        put([None, "é"], Show.METADATA),
        put(3, Show.NOTHING),
        put(3, Show.APP_VERSION),
    )
    texts = [each.text for each in done.outcomes if isinstance(each, Outcome)]
    assert texts == [
        b"1",
        '{"a":{"$ref":"x","$id":1},"k":[null,"é"]}'.encode(),
        None,
        b'{"name":"app-v1","registeredDate":"2026-05-04T00:00:00.007Z"}',
    ]


def test_imports_make_endpoints_as_they_are_described(engine: Planner) -> None:
    def described(*names: str | None, **metadata: Any) -> Command:
        return engine.import_endpoint(*names, metadata=items(metadata))  # type: ignore[misc, arg-type]

    created = plan(engine, None, described("app", "v1", None, a=1))
    assert created.outcome().created
    moved = plan(engine, known(a=1), described("app", "v2", "u", a=2))
    assert [event.kind.name for event in moved.events] == ["APP_VERSION_UPDATED", "METADATA_UPDATED"]
    assert [(event.version, event.base) for event in moved.events] == [(8, None), (9, 8)]
    token = plan(engine, known(a=1), described("app", "app-v1", None, a=1))
    assert only_event(token) == metadata_updated()
    assert token.update["$unset"] == {"endpoint_token": ""}
    same = plan(engine, known(a=1), described("app", "app-v1", "t", a=1))
    assert same.outcome() == Outcome(changed=False, version=7)
    repaired = plan(engine, {"_id": "e", "version": "x", "metadata": 1}, described(None, "v", None, a=1))
    assert [event.version for event in repaired.events] == [NOW_MS, NOW_MS + 1]


def test_kinds_and_weights_are_told(engine: Planner) -> None:
    command = engine.put_keys(items({"key": "value"}))
    assert (command.kind, command.weight) == ("put_keys", 3 + 4 + 6)
    assert engine.unregister().weight == 0


def test_a_command_that_meets_a_bug_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any) -> None:
        raise ZeroDivisionError

    engine = planner("pure")
    monkeypatch.setattr("kaa_epr.register.decide.pure.apply.patched", bug)
    put = engine.put_keys(items({"a": 1}))
    first, second, third = plan(engine, known(), put, patch(engine, []), engine.delete_key("a")).outcomes
    assert isinstance(first, Outcome)
    assert isinstance(second, InternalError)
    assert isinstance(third, Outcome)
    assert str(second) == "Internal server error"


def test_a_bug_of_the_core_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def check(self, command: Command) -> tuple[str]:
            return ("bug",)

    engine = planner("rust")
    monkeypatch.setattr(engine, "_core", Core())
    with pytest.raises(InternalError):
        engine.check(engine.unregister())


def test_a_reference_without_json_form_is_found_under_a_name_that_comes_again(engine: Planner) -> None:
    reference = Raw(3, document([("items", NULL), ("$ref", text("r")), ("$id", NULL)]))
    value = PureValue.of_document(document([("", Raw(3, document([("a", reference), ("a", NULL)])))]))
    with pytest.raises(Invalid, match=r"metadata\.k\.a: a reference"):
        engine.check(engine.put_keys([("k", value)]))
