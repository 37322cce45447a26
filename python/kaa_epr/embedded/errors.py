"""What can go wrong with embedded servers, each in a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from kaa_epr.errors import KaaEprError


class EmbeddedError(KaaEprError):
    """Base of the errors of this part; the command line prints the text and ends with status 1."""


class ServerNotFound(EmbeddedError):
    """No binary of ``server``; ``remedy`` says how to get one."""

    def __init__(self, server: str, remedy: str) -> None:
        super().__init__(server, remedy)
        self.server = server
        self.remedy = remedy

    def message(self) -> str:
        """Name the server and the way to get it."""
        return f"no {self.server} found: {self.remedy}"


class ServerFailed(EmbeddedError):
    """``server`` ended or did not become ready; ``tail`` are the last lines it printed."""

    def __init__(self, server: str, reason: str, tail: tuple[str, ...], log_file: Path) -> None:
        super().__init__(server, reason, tail, log_file)
        self.server = server
        self.reason = reason
        self.tail = tail
        self.log_file = log_file

    def message(self) -> str:
        """Say what happened and show what the server said last."""
        said = "".join(f"\n    {line}" for line in self.tail)
        return f"{self.server} {self.reason}; its log {self.log_file} says:{said}"


class LibraryMissing(EmbeddedError):
    """``server`` is linked against a shared ``library`` that this machine lacks."""

    PACKAGES: ClassVar = {"libcurl.so.4": "libcurl4", "liblzma.so.5": "liblzma5"}
    """Shared library to Debian package, for those that a slim Debian 12 lacks."""

    def __init__(self, server: str, library: str) -> None:
        super().__init__(server, library)
        self.server = server
        self.library = library

    def message(self) -> str:
        """Name the library and, where known, the Debian package that brings it."""
        package = self.PACKAGES.get(self.library)
        remedy = (
            f"on Debian: apt-get install {package}" if package else "install it with your package manager"
        )
        return f"{self.server} needs the library {self.library}, which is missing; {remedy}"


class DataDirInUse(EmbeddedError):
    """Another kaa-epr (process ``pid``, empty if unknown) runs its servers on ``data_dir``."""

    def __init__(self, data_dir: Path, pid: str) -> None:
        super().__init__(data_dir, pid)
        self.data_dir = data_dir
        self.pid = pid

    def message(self) -> str:
        """Name the directory and who holds it."""
        holder = f" by process {self.pid}" if self.pid else ""
        return (
            f"{self.data_dir} is in use{holder}; stop that one, or choose another directory with --data-dir"
        )
