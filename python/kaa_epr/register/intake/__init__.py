"""From bytes to commands: what is asked of an endpoint, and how much may be under way."""
