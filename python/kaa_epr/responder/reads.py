"""What the responder answers: its subjects, and what ``$SRV`` tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from kaa_epr.config.settings import Settings
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.metrics import Stats
from kaa_epr.nats.services_api import Endpoint, EndpointStats, endpoint_name
from kaa_epr.nats.subscriptions import Subjects

REQUESTS: Final = {
    subjects.GET_REQUEST: Kind.GET,
    subjects.KEYS_GET_REQUEST: Kind.KEYS_GET,
    subjects.APP_VERSION_GET_REQUEST: Kind.APP_VERSIONS,
}
"""What the responder answers, from the cache where it can."""


def responder_subjects(settings: Settings) -> Subjects:
    """Request subjects and every originator's event subjects, and their kinds; none without the role."""
    if not settings.responder.enabled:
        return Subjects(requests={}, queue_group=settings.queue_group, events={})
    makers: dict[Callable[[str], str], Kind] = {
        subjects.metadata_updated: Kind.METADATA_UPDATED,
        subjects.registered: Kind.REGISTERED,
        subjects.unregistered: Kind.UNREGISTERED,
        subjects.app_version_updated: Kind.APP_VERSION_UPDATED,
        subjects.heartbeat: Kind.HEARTBEAT,
    }
    return Subjects(
        requests={
            subjects.targeted(settings.service.instance_name, subjects.EPMMP, message_type): kind
            for message_type, kind in REQUESTS.items()
        },
        queue_group=settings.queue_group,
        events={
            make(originator): kind
            for originator in settings.invalidation.originators
            for make, kind in makers.items()
        },
    )


def srv_endpoints(settings: Settings, more: Iterable[str]) -> tuple[Endpoint, ...]:
    """Everything that is answered: these requests, and ``more`` types of 19/EPMMP."""
    instance, queue_group = settings.service.instance_name, settings.queue_group
    reads = REQUESTS if settings.responder.enabled else ()
    return tuple(
        Endpoint(endpoint_name(name), subjects.targeted(instance, subjects.EPMMP, name), queue_group)
        for name in (*reads, *more)
    )


def read_stats(engine: Stats, seconds: float) -> dict[str, EndpointStats]:
    """What the engine counted, by request type.

    The ``seconds`` that answers took are measured by the chunk, and shared out by numbers of requests.
    """

    def count(*names: str) -> int:
        return sum(value for name in names if isinstance(value := engine[name], int))

    keys, versions = count("requests_keys_get"), count("requests_app_versions")
    errors_of = {subjects.KEYS_GET_REQUEST: count("errors_keys_get")}
    errors_of[subjects.APP_VERSION_GET_REQUEST] = count("errors_app_versions")
    refused = count("answers_400", "answers_413", "answers_500", "answers_503")
    errors_of[subjects.GET_REQUEST] = refused - sum(errors_of.values())
    requests = {
        subjects.GET_REQUEST: count("requests") - keys - versions,
        subjects.KEYS_GET_REQUEST: keys,
        subjects.APP_VERSION_GET_REQUEST: versions,
    }
    each = seconds * 1e9 / max(1, sum(requests.values()))
    return {
        endpoint_name(name): EndpointStats(number, errors_of[name], round(each * number))
        for name, number in requests.items()
    }
