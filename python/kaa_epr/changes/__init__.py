"""Changing endpoints (flow 4): command → apply → one document write with its events → events out → answer.

``commands`` say what is wanted, ``apply`` decides purely what that makes of a document and which event tells
of it, ``pipeline`` writes and publishes in batches, ``sweeper`` publishes what a crash left behind.
"""
