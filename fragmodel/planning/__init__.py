"""What a run will need, before it starts: memory, disk and time, from shapes and counts alone."""
