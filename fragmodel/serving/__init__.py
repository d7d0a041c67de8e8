"""A local page to try a model. What it shows and hands out is what `fragmodel predict` writes."""
