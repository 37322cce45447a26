"""Which application an application version belongs to.

REST names versions only. Where the configuration lists applications, a version must be listed; else the
application is the part of the version's name before its last ``-``, as Kaa itself makes such names.
"""

from __future__ import annotations

from collections.abc import Mapping

from kaa_epr.config.groups import KaaSettings
from kaa_epr.refusals import Invalid

_FIELD = "appVersion.name"


class Applications:
    """Looks applications up by their versions."""

    def __init__(self, kaa: KaaSettings) -> None:
        self._by_version: dict[str, set[str]] = {}
        self._listed = bool(kaa.applications)
        applications: Mapping[str, object] = kaa.applications
        for application in applications:
            for version in kaa.applications[application].versions:
                self._by_version.setdefault(version, set()).add(application)

    def of_version(self, version: str) -> str:
        """The application's name. Raises ``Invalid``."""
        if not self._listed:
            return version.rpartition("-")[0] or version
        found = self._by_version.get(version, set())
        if not found:
            raise Invalid(_FIELD, "no application has this version")
        if len(found) > 1:
            raise Invalid(_FIELD, "several applications have a version of this name")
        return next(iter(found))
