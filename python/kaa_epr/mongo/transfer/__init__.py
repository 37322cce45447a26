"""Endpoints as JSON lines: imports that go on where they stopped, exports that an import takes back.

One object a line::

    {"endpointId": "…", "application": "…", "appVersion": {"name": "…"}, "endpointToken": "…",
     "metadata": {"key": any JSON, …}}

Only ``endpointId`` must be there. ``"applicationVersion": "…"`` stands for ``appVersion`` as well. Values
that JSON lacks are MongoDB Extended JSON (``store/extjson.py``).

```
lines.py     one line ↔ one endpoint        source.py    a file in bounded batches
importer.py  source → writer → resume point resume.py    where an import stands
exporter.py  store → lines
```
"""

from kaa_epr.mongo.transfer.exporter import ExportProgress, NotExported, export_endpoints
from kaa_epr.mongo.transfer.importer import (
    BatchOutcome,
    ImportOptions,
    ImportProgress,
    WriteBatch,
    import_endpoints,
)
from kaa_epr.mongo.transfer.resume import default_state_path
from kaa_epr.mongo.transfer.source import BadLine, Batch, GoodLine

__all__ = [
    "BadLine",
    "Batch",
    "BatchOutcome",
    "ExportProgress",
    "GoodLine",
    "ImportOptions",
    "ImportProgress",
    "NotExported",
    "WriteBatch",
    "default_state_path",
    "export_endpoints",
    "import_endpoints",
]
