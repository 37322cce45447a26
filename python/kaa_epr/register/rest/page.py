"""The OpenAPI document as one page for people: no scripts, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#f4f6f8;padding:.75rem;overflow:auto;border-radius:6px}
details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;padding:.5rem .75rem}
summary{cursor:pointer}
.method{display:inline-block;width:4.5rem;font-weight:700}
table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #d0d7de;padding:.25rem .5rem;text-align:left;vertical-align:top}
"""


def render_page(document: Mapping[str, Any]) -> str:
    """The page."""
    info = document["info"]
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    )
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"{_json(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(info['title'])}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p><p><a href='openapi.json'>OpenAPI document</a></p>"
        f"<h2>Operations</h2>{operations}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    table = f"<table>{parameters}</table>" if parameters else ""
    body = operation.get("requestBody", {}).get("content", {})
    request = f"<p>Body: {_links({'content': body})}</p>" if body else ""
    responses = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}{_links(response)}</td></tr>"
        for status, response in operation["responses"].items()
    )
    return (
        f"<details><summary><span class='method'>{escape(method.upper())}</span><code>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary>{table}"
        f"{request}"
        f"<table>{responses}</table></details>"
    )


def _links(holder: Mapping[str, Any]) -> str:
    names = [
        (media_type, content["schema"]["$ref"].rpartition("/")[2])
        for media_type, content in holder.get("content", {}).items()
    ]
    return "".join(
        f" <a href='#{escape(name)}'><code>{escape(name)}</code></a> ({escape(media_type)})"
        for media_type, name in names
    )


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
