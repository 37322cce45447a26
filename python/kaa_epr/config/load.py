"""Settings from one YAML file, the environment and flags, each overriding what stands before it.

In order of growing weight: defaults, the file, Kaa's own environment variables, ``KAA_EPR__…`` variables,
flags. Everything that is wrong is reported at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from kaa_epr.config.environment import environment_entries, flag_entries, kaa_environment_entries
from kaa_epr.config.explain import problems_of
from kaa_epr.config.names import (
    GROUPS,
    KAA_NAMES,
    LEAVES,
    PathKey,
    is_ignored,
    is_in_mapping,
    is_open,
    nearest,
    secret_of_file,
)
from kaa_epr.config.problems import ConfigError, Entry, Problem, show
from kaa_epr.config.settings import Settings
from kaa_epr.config.types import file_path
from kaa_epr.config.yaml_file import read_yaml

_MAX_SECRET_BYTES: Final = 64 * 1024
_GUESSES: Final = 100
"""Unknown keys for which a similar one is sought: a file of thousands would take minutes."""


class Loaded(NamedTuple):
    """Settings and what is worth telling about where they came from."""

    settings: Settings
    notes: tuple[str, ...]
    """Sections of the file that are accepted and without effect, one sentence each."""
    origins: Mapping[str, str]
    """Dotted key to the place that said its value; keys at their default are absent."""


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    check_files: bool = True,
) -> Loaded:
    """Reads and checks a configuration.

    ``environ`` is the process's own by default; ``flags`` maps dotted keys to values, None meaning not given.
    Without ``check_files`` named certificate and key files need not exist (a check on another machine).

    Raises ConfigError with every problem found.
    """
    merge = _Merge(check_files=check_files)
    if path is not None:
        entries, problems = read_yaml(path)
        merge.problems.extend(problems)
        merge.add(entries)
    variables = os.environ if environ is None else environ
    merge.add(kaa_environment_entries(variables))
    merge.add(environment_entries(variables))
    merge.add(flag_entries(flags or {}))
    return merge.result()


class _Merge:
    """Collects entries, source by source, and the problems with them."""

    def __init__(self, *, check_files: bool) -> None:
        self.problems: list[Problem] = []
        self._check_files = check_files
        self._entries: dict[PathKey, Entry] = {}
        self._notes: dict[PathKey, str] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Entries of one source, which override those of the sources before it."""
        source: dict[PathKey, Entry] = {}
        for entry in entries:
            known = self._known(entry)
            if known is None:
                continue
            earlier = source.get(known.path)
            if earlier is not None:
                wrong = f"expected once, but {earlier.origin} says it too"
                self.problems.append(Problem(known.key, None, known.origin, wrong))
            source[known.path] = known
        self._entries |= source

    def _known(self, entry: Entry) -> Entry | None:
        """``entry`` under our own name and with its file read, or None where it is dropped or refused."""
        secret = secret_of_file(entry.path)
        if secret is not None:
            return self._read_secret(entry, secret)
        entry = entry._replace(path=KAA_NAMES.get(entry.path, entry.path))
        if entry.path in LEAVES:
            return self._check_file(entry)
        if entry.path in GROUPS:
            if entry.value not in (None, {}):
                self._refuse(entry, f"expected a mapping with keys such as {_example(entry.path)}")
            return None
        if is_open(entry.path) or is_in_mapping(entry.path):
            return entry
        section = is_ignored(entry.path)
        if section is not None:
            note = f"{'.'.join(section)} ({entry.origin}) has no meaning here and is ignored"
            self._notes.setdefault(section, note)
            return None
        guess = nearest(entry.path) if len(self.problems) < _GUESSES else None
        self._refuse(entry, f"unknown key{f'; did you mean {guess}?' if guess else ''}")
        return None

    def _check_file(self, entry: Entry) -> Entry:
        names_a_file = LEAVES[entry.path].file and isinstance(entry.value, str) and entry.value
        if self._check_files and names_a_file and not _is_readable(entry.value):
            shown = show(entry.value, secret=False)
            self.problems.append(Problem(entry.key, shown, entry.origin, "expected a readable file"))
        return entry

    def _read_secret(self, entry: Entry, secret: PathKey) -> Entry | None:
        if not isinstance(entry.value, str):
            self._refuse(entry, "expected a file name")
            return None
        try:
            with file_path(Path(entry.value)).open("rb") as file:
                data = file.read(_MAX_SECRET_BYTES + 1)
            if not data.strip() or len(data) > _MAX_SECRET_BYTES:
                self._refuse(entry, f"expected a file with 1 to {_MAX_SECRET_BYTES} bytes")
                return None
            # Editors and `echo` end the line; the secret does not.
            return Entry(secret, data.decode().rstrip("\r\n"), entry.origin)
        except OSError as error:
            self._refuse(entry, f"expected a readable file ({error.strerror})")
        except UnicodeDecodeError:
            self._refuse(entry, "expected a file with UTF-8 text")
        except ValueError as error:
            self._refuse(entry, f"expected {error}")
        return None

    def _refuse(self, entry: Entry, wrong: str) -> None:
        # Without the value: under a misspelt key it may be a secret.
        self.problems.append(Problem(entry.key, None, entry.origin, wrong))

    def result(self) -> Loaded:
        """The settings; raises ConfigError with the problems of all sources and of their sum."""
        settings = None
        try:
            settings = Settings.model_validate(self._tree())
        except ValidationError as error:
            self.problems.extend(problems_of(error, self._entries))
        if self.problems or settings is None:
            raise ConfigError(self.problems)
        origins = {entry.key: entry.origin for entry in self._entries.values()}
        return Loaded(settings, tuple(self._notes.values()), origins)

    def _tree(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for path, entry in sorted(self._entries.items()):
            node = tree
            for part in path[:-1]:
                below = node.get(part)
                # In Kaa's own section one source may say `a: x` and another `a.b: y`: the longer one wins.
                node[part] = node = below if isinstance(below, dict) else {}
            node[path[-1]] = dict(entry.value) if isinstance(entry.value, dict) else entry.value
        return tree


def _is_readable(name: str) -> bool:
    try:
        file = file_path(Path(name))
        return not file.is_dir() and os.access(file, os.R_OK)
    except (OSError, ValueError):
        # Too long, or nobody's home: what is wrong with the name itself is told where it is judged.
        return False


def _example(group: PathKey) -> str:
    keys = [path[-1] for path in LEAVES if path[:-1] == group]
    return ", ".join(keys[:3]) or "those of its sections"
