"""From what a line says to the planner's command."""

from __future__ import annotations

from collections.abc import Callable

import bson

from kaa_epr.mongo.documents import Endpoint
from kaa_epr.register.decide.api import Command, Planner
from kaa_epr.register.intake.api import Value


def command_of(endpoint: Endpoint, planner: Planner, value_of: Callable[[bytes], Value]) -> Command:
    """Make the endpoint as it is described. ``value_of``: the intake's."""
    metadata = value_of(bson.encode({"": endpoint.metadata})).items()
    return planner.import_endpoint(
        endpoint.application, endpoint.application_version, endpoint.endpoint_token, metadata
    )
