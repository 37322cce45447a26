"""kaa-epr: a high-throughput Endpoint Register for the Kaa IoT platform. ARCHITECTURE.md is the map."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("kaa-epr")
except PackageNotFoundError:  # a source tree on PYTHONPATH, not installed
    __version__ = "0+source"
