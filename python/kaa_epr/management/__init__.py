"""Health, metrics and information over HTTP, for probes, Prometheus and people.

Each worker process has a server of its own: worker ``i`` listens on ``management.port + i`` (on any free port
where the port is 0). So a probe or a scrape always speaks of exactly one process, and no process depends on
another.
"""
