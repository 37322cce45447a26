"""The server's certificate, which can be replaced while it serves."""

from __future__ import annotations

import ssl
from pathlib import Path


class Certificate:
    """Its files, and the context that connections share."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def load(self) -> None:
        """From the files, for connections from now on. Raises OSError; then what was loaded before stays."""
        # Tried elsewhere first: a context would be left with the new chain and the old key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
        self.context.load_cert_chain(self._chain, self._key)
