"""kaa-epr: a high-throughput Endpoint Register for the Kaa IoT platform. ARCHITECTURE.md is the map."""

__version__: str


def __getattr__(name: str) -> str:
    """``__version__``, when it is asked for: finding it takes longer than all else of an import."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kaa-epr")
    except PackageNotFoundError:  # a source tree on PYTHONPATH, not installed
        return "0+source"
