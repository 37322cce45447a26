"""Reply subjects: which ones answers go to. One table for everybody who answers."""

from __future__ import annotations

from typing import Final

from kaa_epr.reply import MAX_REPLY_BYTES

ANSWERED: Final = (
    b"_INBOX.eXkVDMtBgXeVTFkrdyM9Tk.eXkVDMtBgXeVTFkrdyMAEo",
    b"_INBOX_billing.x",
    b"billing.answers.1",
    b"kaa.v1.replica.cmx-7.epmmp.ep-metadata-get-response",
    b"kaa",
    b"kaapi.v1.events.x",
    b"_R_.VQ2wWv.7Gnd0k",
    b"_GR_.5yK1Xz.8aBcDe._INBOX.x.1",
    b"_GR_.5yK1Xz.8aBcDe.kaa.v1.replica.r.epmmp.ep-metadata-get-response",
    b"_GR_",
    "réponse.é".encode(),
    b"a$b.$SYS",
    b"x" * MAX_REPLY_BYTES,
)
"""What clients and servers put there: inboxes, prefixes of their own, replicas, other accounts, clusters."""
REFUSED: Final = (
    b"kaa.v1.events.epr.endpoint.metadata.updated",
    b"kaa.v1.events.epr.endpoint.lifecycle.registered",
    b"kaa.v1.events.x",
    b"kaa.v1.coherence.epr.heartbeat",
    b"kaa.v1.service.epr.epmmp.ep-metadata-get-request",
    b"kaa.v1.service.other.efmp.ep-filters-request",
    b"kaa.v1.replica",
    b"kaa.v2.events.epr",
    b"$SYS.REQ.SERVER.PING",
    b"$JS.API.STREAM.DELETE.orders",
    b"$JS.ACK.s.c.1.1.1.1.0",
    b"$SRV.PING",
    b"$KV.bucket.key",
    b"$",
    b"_GR_.c.s.$SYS.REQ.SERVER.PING",
    b"_GR_.c.s.kaa.v1.events.epr.endpoint.metadata.updated",
    b"_GR_.c.s._GR_.c.s.kaa.v1.events.epr",
    b"_GR_.c.s",
    b"_GR_.c",
    b"a.*",
    b"a.>",
    b">",
    b"a*b",
    b"a..b",
    b".a",
    b"a.",
    b".",
    b"a\x00b",
    b"a\vb",
    b"\fkaa.v1.events.x",
    b"a\x7f",
    b"a\xff",
    b"\xed\xa0\x80",
    b"x" * (MAX_REPLY_BYTES + 1),
)
"""Events, heartbeats, requests, servers' own, and what is no subject; all can come out of a server."""
