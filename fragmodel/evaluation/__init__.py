"""Answers of a model or a baseline to scores: generation, parsing, metrics, intervals, comparisons."""
