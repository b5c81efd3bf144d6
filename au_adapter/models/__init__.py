"""The networks: torch in, torch out; they know no files."""
