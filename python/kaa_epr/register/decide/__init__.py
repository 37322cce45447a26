"""What commands make of a stored document, and the events that tell of it. Pure: no I/O, no clock."""
