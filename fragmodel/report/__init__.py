"""A finished run as one page, figures, tables and a few lines."""
