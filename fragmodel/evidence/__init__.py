"""Evidence: what annotated relatives in the training data say about a question, put into the question."""
