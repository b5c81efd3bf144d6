"""Data sets of faces: rendered, public, a folder of your own."""
