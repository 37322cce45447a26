"""Settings of the connection to NATS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from kaa_epr.config.types import Conflict, File, Group, Seconds, Servers, ServerUrl, Size, Text, Token


class NatsTlsSettings(Group):
    """TLS towards the NATS servers. Any of these, or a ``tls://`` or ``wss://`` server, turns it on."""

    enabled: bool = Field(
        False, description="Ask for TLS although nothing else here is set: the system's CAs are trusted."
    )
    ca_file: File | None = Field(
        None, description="PEM file of the certificate authorities to trust instead of the system's."
    )
    cert_file: File | None = Field(None, description="PEM file of our own certificate chain (mutual TLS).")
    key_file: File | None = Field(None, description="PEM file of our certificate's private key.")
    hostname: Text | None = Field(
        None, description="Name to expect in the server's certificate instead of the host in its URL."
    )
    handshake_first: bool = Field(
        False, description="Begin with TLS instead of upgrading after INFO; the server must be set alike."
    )

    def _conflicts(self) -> Iterator[Conflict]:
        if self.cert_file and not self.key_file:
            yield Conflict("key_file", "a key file, since cert_file is set")
        if self.key_file and not self.cert_file:
            yield Conflict("cert_file", "a certificate file, since key_file is set")

    @property
    def configured(self) -> bool:
        """Whether this group by itself asks for TLS."""
        return bool(self.enabled or self.ca_file or self.cert_file or self.hostname or self.handshake_first)


class NatsSettings(Group):
    """The NATS servers, how to authenticate to them, and how to behave when they are away."""

    servers: Servers = Field(
        (ServerUrl("nats://127.0.0.1:4222"),),
        description="NATS servers of one cluster, a list or comma-separated. Kaa's name: `nats.urls`.",
    )
    user: Text | None = Field(None, description="User name.")
    password: SecretStr | None = Field(None, description="Password of `nats.user`.")
    token: SecretStr | None = Field(None, description="Authentication token.")
    nkey_seed_file: File | None = Field(None, description="File with an nkey user seed.")
    credentials_file: File | None = Field(
        None, description="Credentials file (JWT and nkey seed) as `nsc` writes it."
    )
    tls: NatsTlsSettings = Field(default_factory=NatsTlsSettings, description="TLS.")
    connect_timeout: Seconds = Field(2.0, description="Longest time for one attempt to connect, in seconds.")
    reconnect_wait: Seconds = Field(
        0.25, description="Wait before the second attempt to connect, in seconds; doubles, with jitter."
    )
    reconnect_wait_max: Seconds = Field(
        5.0, description="Longest wait between two attempts to connect, in seconds."
    )
    ping_interval: Seconds = Field(
        1.0, description="How often the connection's liveness is checked, in seconds."
    )
    write_buffer_limit: Annotated[Size, Field(ge=64 * 1024)] = Field(
        8 * 1024 * 1024,
        description="Unsent bytes above which reading from the connection stops until they are sent.",
    )
    queue_group: Token | None = Field(
        None, description="Queue group of the request subscription; default: `service.instance_name`."
    )
    fast_path: Literal["auto", "off"] = Field(
        "auto",
        description="`auto`: the core reads the connection itself where that works; `off`: never.",
    )

    def _conflicts(self) -> Iterator[Conflict]:
        if self.password and not self.user:
            yield Conflict("user", "a user name, since password is set")
        if self.user and not self.password:
            yield Conflict("password", "a password, since user is set")
        ways = self._ways_to_authenticate()
        if len(ways) > 1:
            yield Conflict(ways[1], f"one way to authenticate, not {' and '.join(ways)}")
        if self.reconnect_wait_max < self.reconnect_wait:
            yield Conflict("reconnect_wait_max", "not less than reconnect_wait")
        schemes = {urlsplit(server).scheme in ("ws", "wss") for server in self.servers}
        if len(schemes) > 1:
            yield Conflict("servers", "either WebSocket servers (ws, wss) only or none")

    def _ways_to_authenticate(self) -> list[str]:
        ways = {
            "user": self.user or self.password,
            "token": self.token,
            "nkey_seed_file": self.nkey_seed_file,
            "credentials_file": self.credentials_file,
            "servers (user in a URL)": any(urlsplit(server).username for server in self.servers),
        }
        return [name for name, given in ways.items() if given]

    @property
    def wants_tls(self) -> bool:
        """Whether the connection shall be encrypted."""
        return self.tls.configured or any(urlsplit(s).scheme in ("tls", "wss") for s in self.servers)
