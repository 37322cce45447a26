"""The writes of 19/EPMMP over NATS: metadata patch, key update, key batch update."""
