"""One worker of the service: its parts made, connected, started and stopped in order."""

from kaa_epr.service.fleet import Fleet
from kaa_epr.service.ready import ReadyInfo
from kaa_epr.service.service import Service

__all__ = ["Fleet", "ReadyInfo", "Service"]
