"""Building indexes, which takes as long as it takes: minutes over millions of documents.

On a client of its own, PyMongo's asynchronous one whatever the driver: a stop closes its connection at once,
where a thread of Motor's would keep the process until the server answers. The server goes on building after
its client has gone, and who asks for the same indexes again waits for the same build.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pymongo import AsyncMongoClient, IndexModel
from pymongo.errors import NetworkTimeout, OperationFailure, PyMongoError

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.mongo.api import IndexSpec
from kaa_epr.mongo.client import refusing_settings
from kaa_epr.mongo.errors import IndexesRefused, from_driver
from kaa_epr.mongo.options import client_options

ASK_SECONDS: Final = 30.0
"""After so long without an answer it is asked anew: the connection may carry nothing any more."""


async def build(mongo: MongoSettings, store: StoreSettings, specs: Sequence[IndexSpec]) -> None:
    """Returns once all of these are there. Raises ``IndexesRefused``, or another StoreError.

    Cancelled, it ends at once, and the server goes on.
    """
    options = client_options(mongo, store) | {"socketTimeoutMS": round(ASK_SECONDS * 1000), "maxPoolSize": 1}
    with refusing_settings():
        client = AsyncMongoClient[dict[str, Any]](mongo.uri.get_secret_value(), **options)
    try:
        await _until_built(client[mongo.database][mongo.collection], specs)
    except OperationFailure as error:
        name = (error.details or {}).get("codeName", "no code name")
        raise IndexesRefused(name, error.code or 0) from None
    except PyMongoError as error:
        raise from_driver(error, "build indexes", ASK_SECONDS) from error
    finally:
        await client.close()


async def _until_built(collection: Any, specs: Sequence[IndexSpec]) -> None:
    models = [_model(spec) for spec in specs]
    while True:
        try:
            await collection.create_indexes(models)
        except NetworkTimeout:
            continue
        return


def _model(spec: IndexSpec) -> IndexModel:
    options: dict[str, Any] = {"name": spec.name}
    if spec.unique:
        options["unique"] = True
    if spec.partial is not None:
        options["partialFilterExpression"] = dict(spec.partial)
    return IndexModel([(field, 1) for field in spec.fields], **options)
