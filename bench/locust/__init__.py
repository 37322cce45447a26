"""Realistic mixes of gets and updates, by locust."""
