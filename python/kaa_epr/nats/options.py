"""``nats`` settings as nats-py's connect options: servers, every kind of authentication, TLS."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from nats.aio.client import Server

from kaa_epr.backoff import jittered
from kaa_epr.config.nats import NatsSettings

NATS_PY_PING_INTERVAL = 30
"""Seconds; nats-py's own check is only a second net under ``liveness``."""

NATS_PY_PENDING_SIZE = 8 * 1024 * 1024
"""Bytes nats-py buffers of its own commands while reconnecting."""


def connect_options(settings: NatsSettings, name: str) -> dict[str, Any]:
    """Keyword arguments of ``nats.aio.client.Client.connect``, callbacks excepted.

    Certificates are read here; seeds and credentials again at every connection, when nats-py signs. Raises
    OSError or ssl.SSLError for unreadable certificates.
    """
    options: dict[str, Any] = {
        "servers": [str(server) for server in settings.servers],
        "name": name,
        "connect_timeout": settings.connect_timeout,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": settings.reconnect_wait,
        "ping_interval": NATS_PY_PING_INTERVAL,
        "pending_size": NATS_PY_PENDING_SIZE,
        "flush_timeout": settings.connect_timeout,
        "reconnect_to_server_handler": backoff(settings.reconnect_wait, settings.reconnect_wait_max),
    }
    options |= _authentication(settings)
    if settings.wants_tls:
        options["tls"] = tls_context(settings)
        options["tls_handshake_first"] = settings.tls.handshake_first
        if settings.tls.hostname is not None:
            options["tls_hostname"] = settings.tls.hostname
    return options


def _authentication(settings: NatsSettings) -> dict[str, Any]:
    if settings.user is not None and settings.password is not None:
        return {"user": settings.user, "password": settings.password.get_secret_value()}
    if settings.token is not None:
        return {"token": settings.token.get_secret_value()}
    if settings.nkey_seed_file is not None:
        return {"nkeys_seed": str(settings.nkey_seed_file)}
    if settings.credentials_file is not None:
        return {"user_credentials": str(settings.credentials_file)}
    return {}


def tls_context(settings: NatsSettings) -> ssl.SSLContext:
    """TLS 1.2 or later, verifying the server; with a certificate of our own where one is set."""
    tls = settings.tls
    context = ssl.create_default_context(cafile=None if tls.ca_file is None else str(tls.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None and tls.key_file is not None:
        context.load_cert_chain(str(tls.cert_file), str(tls.key_file))
    return context


def backoff(base: float, ceiling: float) -> Callable[[list[Server], dict[str, Any]], tuple[Server, float]]:
    """nats-py's choice of the next server while reconnecting: the least tried one, with jittered back-off.

    nats-py shuffles its pool, so replicas that lost a server together do not return to one together.
    """

    def choose(servers: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
        tried = sum(server.reconnects for server in servers)
        rounds = tried // len(servers)
        # The first round through the pool is quick: another server of the cluster is probably there.
        wait = base * random.random() if rounds == 0 else jittered(base, ceiling, rounds)  # noqa: S311
        return min(servers, key=lambda server: server.reconnects), wait

    return choose


async def wait_or(event: asyncio.Event, seconds: float) -> bool:
    """Waits until ``event`` is set (True) or ``seconds`` have passed (False)."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Does ``work``, but gives it up when ``event`` is set; what it raises is raised."""
    working = asyncio.get_running_loop().create_task(work)
    waiting = asyncio.get_running_loop().create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    if not working.cancelled():
        working.result()
