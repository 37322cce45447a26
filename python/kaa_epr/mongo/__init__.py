"""MongoDB, the store of endpoint documents: the only place that imports Motor and PyMongo.

```
api.py                          Store: what the loader, the import and the export ask for
motor_store.py pymongo_store.py the same over either driver; client.py and base.py are
                                what they share
options.py                      settings → client options (time limits, TLS, authentication)
statements.py                   conditional writes that are BSON already, many in one command
sent.py                         what a write that failed can have changed
gate.py long_reads.py lists.py  lists and counts, beside loads and writes and never in their way
outboxes.py tasks.py tombstones.py  what the register works off in the background
change_stream.py                which endpoints changed, told by MongoDB
reply.py raw_documents.py       the answer to a find, its documents never decoded
primary.py                      tells of a new primary
documents.py extjson.py         what a document may look like, and how a line of JSON becomes one
indexes.py                      the indexes of our own collection
transfer/                       imports and exports of JSON lines
```
"""

from kaa_epr.mongo.api import Store
from kaa_epr.mongo.errors import StoreError, StoreOverloaded, StoreTimeout, StoreUnavailable
from kaa_epr.mongo.opening import open_store

__all__ = ["Store", "StoreError", "StoreOverloaded", "StoreTimeout", "StoreUnavailable", "open_store"]
