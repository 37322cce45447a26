"""The benchmark: what a get costs here and elsewhere. See README.md."""
