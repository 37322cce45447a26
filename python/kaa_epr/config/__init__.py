"""Settings: what they are (``settings``) and where they come from (``load``)."""
