"""HTTP for management and register: `server.py` listens within limits, `auth.py` checks tokens."""
