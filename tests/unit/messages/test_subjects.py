"""Subjects are built from checked tokens and match what the RFCs print."""

import pytest

from kaa_epr.messages import subjects


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (subjects.metadata_get_request("epr"), "kaa.v1.service.epr.epmmp.ep-metadata-get-request"),
        (subjects.metadata_get_response("r-1"), "kaa.v1.replica.r-1.epmmp.ep-metadata-get-response"),
        (subjects.registered(), "kaa.v1.events.*.endpoint.lifecycle.registered"),
        (subjects.unregistered("epr"), "kaa.v1.events.epr.endpoint.lifecycle.unregistered"),
        (subjects.app_version_updated("epr"), "kaa.v1.events.epr.endpoint.lifecycle.appversion-updated"),
        (subjects.connected("kpc"), "kaa.v1.events.kpc.endpoint.connectivity.connected"),
        (subjects.disconnected("kpc"), "kaa.v1.events.kpc.endpoint.connectivity.disconnected"),
        (subjects.metadata_updated("epr"), "kaa.v1.events.epr.endpoint.metadata.updated"),
        (
            subjects.configuration_broadcast("tekton", "upsert"),
            "kaa.v1.events.tekton.service.configuration.upsert",
        ),
        (
            subjects.configuration_targeted("epr", "delete"),
            "kaa.v1.service.epr.scmp.configuration.delete",
        ),
        (
            subjects.filter_event("epr", "f1", "ep-matched"),
            "kaa.v1.events.epr.endpoint-filter.f1.ep-matched",
        ),
        (subjects.filter_event("*", "*", "*"), "kaa.v1.events.*.endpoint-filter.*.*"),
        (subjects.relations_updated("epr"), "kaa.v1.events.epr.endpoint.relations.updated"),
        (
            subjects.targeted("epr", subjects.EFMP, subjects.FILTERS_REQUEST),
            "kaa.v1.service.epr.efmp.ep-filters-request",
        ),
        (
            subjects.replica("r", subjects.EPRMP, subjects.RELATIONS_GET_RESPONSE),
            "kaa.v1.replica.r.eprmp.ep-relations-get-response",
        ),
        (subjects.queue_group("epr"), "epr"),
    ],
)
def test_subjects_are_those_of_the_rfcs(built: str, expected: str) -> None:
    assert built == expected


@pytest.mark.parametrize(
    "token", ["", "a.b", "*", "a*", ">", "a b", "a\tb", "a\r\nPUB x 0", "a\x00", "a\x7f", "x" * 256, "\ud800"]
)
def test_a_name_that_is_not_one_token_is_refused(token: str) -> None:
    assert not subjects.is_token(token)
    with pytest.raises(subjects.InvalidSubjectToken, match="service instance name") as caught:
        subjects.metadata_get_request(token)
    assert caught.value.token == token
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("token", ["epr", "EPR_1-a", "ж", "$x", "x" * 255])
def test_every_other_name_is_taken(token: str) -> None:
    assert subjects.metadata_get_request(token).split(".")[3] == token


def test_only_subscriptions_may_say_any_originator() -> None:
    with pytest.raises(subjects.InvalidSubjectToken):
        subjects.metadata_get_request(subjects.ANY)
