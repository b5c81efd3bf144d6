"""Files and networks: one into the other."""
