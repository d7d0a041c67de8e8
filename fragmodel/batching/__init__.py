"""Records as token ids and padded tensors, for training and for generation."""
