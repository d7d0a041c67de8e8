"""Training by two programs that share everything but the loop."""
