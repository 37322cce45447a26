"""Hostile and odd inputs as data (`tests/data/hostile`), and how they are sent to a real service.

`made.py` makes bytes of their compact descriptions, `corpus.py` reads them, `http.py` writes requests that no
HTTP client would, `attack.py` sends and judges one of them, `watched.py` runs the service and tells how long
its event loop was held meanwhile.
"""
