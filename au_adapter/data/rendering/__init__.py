"""Labelled heads from the ICT-FaceKit morphable model, drawn with OpenGL."""
