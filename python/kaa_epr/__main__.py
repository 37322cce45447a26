"""``python -m kaa_epr``: the same as the ``kaa-epr`` command."""

from kaa_epr.cli import main

if __name__ == "__main__":
    main()
