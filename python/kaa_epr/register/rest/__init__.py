"""The register over HTTP, at ``/api/v1``.

``operations`` is the one table of what there is; the routes and the OpenAPI document are made from it.
"""
