"""The engine in the extension."""

from __future__ import annotations

from kaa_epr._core import Engine as RustEngine

__all__ = ["RustEngine"]
