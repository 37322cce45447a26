"""The sample endpoints that an embedded MongoDB begins with."""

from __future__ import annotations

import asyncio
from importlib import resources
from pathlib import Path

from kaa_epr.config.settings import Settings
from kaa_epr.mongo import open_store
from kaa_epr.mongo.transfer import ImportOptions, import_endpoints
from kaa_epr.register.importing import direct_import

_SECONDS = 30.0


def load_samples(settings: Settings, data_dir: Path) -> None:
    """Import the samples unless the collection holds anything. Raises StoreError or OSError."""
    asyncio.run(_load(settings, ImportOptions(state_path=data_dir / "samples.import-state")))


async def _load(settings: Settings, options: ImportOptions) -> None:
    store = open_store(settings.mongo, settings.store)
    try:
        interrupted = options.state_path is not None and options.state_path.exists()
        if interrupted or await store.estimate(_SECONDS) == 0:
            samples = resources.files("kaa_epr") / "_samples" / "endpoints.jsonl"
            with resources.as_file(samples) as path:
                write_batch = direct_import(store, settings.engine)
                await import_endpoints(path, store, write_batch, options=options)
    finally:
        await store.close()
