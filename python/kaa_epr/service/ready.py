"""What a worker says of itself once gets are answered."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_TELLABLE_OPTIONS: Final = {"replicaset", "directconnection", "tls", "ssl", "authsource"}


@dataclass(frozen=True, slots=True)
class ReadyInfo:
    """What ``--ready-file`` holds, once gets are answered. URLs have no credentials."""

    pid: int
    nats: str
    mongo: str
    management: str | None
    rest: str | None = None

    def write(self, path: Path) -> None:
        """Writes the file at once or not at all."""
        partial = path.with_name(f"{path.name}.{self.pid}.partial")
        partial.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        partial.replace(path)


def without_credentials(uri: str) -> str:
    """The MongoDB URI with hosts, database and those options that a client needs and that are no secrets."""
    address, _, options = re.sub(r"//[^/?]*@", "//", uri, count=1).partition("?")
    told = [option for option in options.split("&") if option.partition("=")[0].lower() in _TELLABLE_OPTIONS]
    return f"{address}?{'&'.join(told)}" if told else address
