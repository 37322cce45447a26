"""Messages of the Kaa RFCs: their subjects, and how to show them to people."""
