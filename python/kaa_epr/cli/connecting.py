"""Clients made from settings, for the subcommands that talk to servers."""

from __future__ import annotations

from kaa_epr.client import ClientOptions, EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.nats.options import connect_options


def epmmp_client(settings: Settings, seconds: float) -> EpmmpClient:
    """A client of the instance that ``settings`` name; ``seconds`` for each get.

    Raises OSError or ssl.SSLError for unreadable certificates.
    """
    connect = connect_options(settings.nats, "kaa-epr")
    servers = connect.pop("servers")
    return EpmmpClient(
        servers=servers,
        repository=settings.service.instance_name,
        timeout=seconds,
        options=ClientOptions(connect=connect),
    )
