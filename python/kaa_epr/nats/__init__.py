"""NATS: the supervised connection with the core in its read path, what is published on it, and ``$SRV``.

Beside the client library it is where nats-py is used. ARCHITECTURE.md, "The connection", is the map.
"""
