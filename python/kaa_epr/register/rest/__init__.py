"""The register over HTTP: rows 1, 2, 5 to 8, 10 to 18 and 24 of the facts about Kaa's EPR, at ``/api/v1``.

``operations`` is the one table of what there is; the routes and the OpenAPI document are made from it.
"""
