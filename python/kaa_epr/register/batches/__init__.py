"""Batch registrations: the task's document, its way through the register, and what is told of it."""
