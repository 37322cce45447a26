"""The REST interface of a register, put together."""

from __future__ import annotations

import kaa_epr
from kaa_epr.config.register import RegisterSettings
from kaa_epr.http.asgi import App
from kaa_epr.http.auth import Authenticator
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.idempotency import Once
from kaa_epr.register.intake.budget import Budget
from kaa_epr.register.intake.reading import Reading
from kaa_epr.register.lists import Pages
from kaa_epr.register.rest.app import Limits, create_app
from kaa_epr.register.rest.call import Backend
from kaa_epr.register.rest.openapi import create_document
from kaa_epr.register.tasks import BatchTasks


def rest_app(
    settings: RegisterSettings,
    endpoints: Endpoints,
    tasks: BatchTasks,
    reading: Reading,
    rules: Rules,
    pages: Pages,
    authenticator: Authenticator,
    budget: Budget,
) -> App:
    """The application, and the document that it serves, as the settings say."""
    seconds = settings.store_timeout
    once = Once(endpoints, tasks, seconds, settings.tombstone_retention)
    return create_app(
        Backend(endpoints, tasks, reading, once, pages, seconds, settings.rest.public_url),
        authenticator,
        Limits(settings.rest.max_body_bytes, settings.rest.max_batch_bytes, budget),
        settings.rest.prefix,
        create_document(kaa_epr.__version__, rules, secured=settings.security.enabled),
    )
