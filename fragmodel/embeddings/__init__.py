"""Frozen ESM states: the encoders, the store that keeps their output, and the extraction that fills it."""
