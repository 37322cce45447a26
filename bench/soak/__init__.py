"""The soak: a fleet on real servers under load, broken again and again, every answer judged."""
