"""Measuring artifacts, comparing records, and the verdict."""
