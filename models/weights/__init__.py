"""Trained weights that are part of the project; LICENSES.md says how each file was made."""
