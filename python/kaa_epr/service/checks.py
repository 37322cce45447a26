"""What health asks of a worker's parts."""

from __future__ import annotations

from kaa_epr.management.health import Health
from kaa_epr.nats.link import Link, LinkStatus
from kaa_epr.register.register import Register
from kaa_epr.responder.loader import Loader
from kaa_epr.responder.witness import Witness
from kaa_epr.supervised import Supervisor


def add_link_checks(health: Health, link: Link) -> None:
    """Without NATS, its events or requests the worker is not ready."""
    status = link.status
    health.add("nats", lambda: None if status().connected else "not connected", required=True)
    health.add(
        "events",
        lambda: None if status().hearing else "event subscriptions are not confirmed",
        required=True,
    )
    health.add("requests", lambda: _why_no_requests(status()), required=True)
    health.add(
        "other requests",
        lambda: ", ".join(refused) + ": refused" if (refused := status().refused_requests) else None,
        required=False,
    )


def add_other_checks(
    health: Health, loader: Loader, witness: Witness, register: Register | None, supervisor: Supervisor
) -> None:
    """Without any of these it is degraded: cached endpoints are answered."""
    health.add(
        "store",
        lambda: None if loader.stats().up else "MongoDB does not answer, only cached endpoints are",
        required=False,
    )
    health.add("background work", supervisor.problem, required=False)
    if (reader := witness.reader) is not None:
        health.add("change_stream", lambda: reader.problem, required=False)
    if register is not None:
        health.add("register", lambda: register.problem, required=False)


def _why_no_requests(status: LinkStatus) -> str | None:
    if status.get_refused:
        return "the server refused the request subscription"
    return None if status.subscribed else "request subscriptions are not confirmed"
