"""What each operation does: from a checked request to commands and reads, and from outcomes to answers.

One function an operation, one file for what belongs together; ``operations`` names them all.
"""
