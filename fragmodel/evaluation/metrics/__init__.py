"""What answers are scored by; none of these modules reads a file of a run."""
