"""What to try next, as commands that work when pasted."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from kaa_epr.cli.console import result
from kaa_epr.config.settings import Settings

if TYPE_CHECKING:
    from kaa_epr.service import ReadyInfo


class Hints:
    """Knows how this process was started, so that the commands reach it."""

    def __init__(self, settings: Settings, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir

    def show(self, info: ReadyInfo) -> None:
        """Print what is running and what to do with it."""
        get = f"{program()} get"
        nats = self._nats_options()
        lines = [
            "",
            f"Instance {self._settings.service.instance_name} answers on {info.nats}, from {info.mongo}.",
            "Try in another terminal:",
            "",
            f"  {get} sample-0001{nats}",
            f"  {get} sample-0001 --include model,firmware --full{nats}",
            f"  {get} no-such-endpoint{nats}",
            f"  {program()} export{self._mongo_options()} | head -n 3",
        ]
        if info.rest is not None:
            lines += self._writing(info.rest, get, nats)
        if info.management is not None:
            lines.append(f"  curl -s {info.management}/health/ready")
            lines.append(f"  curl -s {info.management}/metrics | grep kaa_epr_")
        if info.rest is not None:
            lines += ["", f"Events are printed as they pass by: {program()} events{nats}"]
            lines.append(f"All that REST takes, to be read in a browser: {info.rest}/api/v1/docs")
        lines += ["", f"Ctrl-C stops everything; the data stays in {self._data_dir}.", ""]
        result("\n".join(lines))

    def _writing(self, rest: str, get: str, nats: str) -> list[str]:
        """Register, read, change, read again."""
        api = f"{rest}/api/v1/endpoints"
        json_type = "-H 'Content-Type: application/json'"
        body = '{"endpointId": "my-1", "appVersion": {"name": "smart_meter-v1"}, "metadata": {"room": "12"}}'
        return [
            f"  curl -si {json_type} -d '{body}' {api}",
            f"  {get} my-1{nats}",
            f"  curl -s -X PUT {json_type} -d '\"14\"' {api}/my-1/metadata/room",
            f"  {get} my-1{nats}",
            f"  curl -s {rest}/api/v1/openapi.json",
        ]

    def _nats_options(self) -> str:
        """Only what differs from the defaults."""
        defaults = Settings()
        options = ""
        if self._settings.nats.servers != defaults.nats.servers:
            options += f" --nats {quote(','.join(self._settings.nats.servers))}"
        if self._settings.service.instance_name != defaults.service.instance_name:
            options += f" --instance {quote(self._settings.service.instance_name)}"
        return options

    def _mongo_options(self) -> str:
        """The port of the embedded mongod; a member found by its address needs no replica set name."""
        uri = self._settings.mongo.uri.get_secret_value()
        if "127.0.0.1:27017/" in uri:
            return ""
        return f" --mongo {quote(uri)}"


def program() -> str:
    """How this command is called from here: ``kaa-epr`` where PATH has it, else its path."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{quote(sys.executable)} -m kaa_epr"
    on_path = shutil.which(called.name)
    if on_path is not None and Path(on_path).samefile(called):
        return called.name
    absolute = called.absolute()
    here = Path.cwd()
    return quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))
