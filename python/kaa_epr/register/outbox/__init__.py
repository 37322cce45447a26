"""Outboxes: events written with their change, cleared when published, published by whoever finds them."""
