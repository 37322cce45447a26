"""Opens the store that the settings name."""

from __future__ import annotations

import os

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.mongo.register_api import RegisterStore


def open_store(mongo: MongoSettings, store: StoreSettings) -> RegisterStore:
    """A store on the running event loop; nothing is connected yet.

    Raises ``StoreSettingsRefused`` when the driver does not accept the settings.
    """
    # Imported here: each driver takes a quarter of a second, and only one is wanted.
    if mongo.driver == "pymongo":
        from kaa_epr.mongo.pymongo_store import PymongoStore

        return PymongoStore(mongo, store)
    # Motor reads it when it is imported. By default it has five threads a processor for all clients: fewer
    # than connections, so that loads would wait for a thread although a connection is free.
    os.environ.setdefault("MOTOR_MAX_WORKERS", str(mongo.max_pool_size))
    from kaa_epr.mongo.motor_store import MotorStore

    return MotorStore(mongo, store)
