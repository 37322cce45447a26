"""Commands in batches: read, decide, write with the events, publish, answer."""
