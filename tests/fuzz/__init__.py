"""A seeded fuzzer of every file that the product reads; `make fuzz` runs it, see `__main__`."""
