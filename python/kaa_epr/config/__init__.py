"""Settings, from what may be said (the models) to where it was said (file, environment, flags).

``types``, ``nats``, ``mongo``, ``groups``, ``settings``: the models. ``load``: one value out of all sources.
``problems``, ``explain``: what is wrong with them. ``dump``, ``reference``: what people see of them.
``engine``: the engine's own configuration.
"""
