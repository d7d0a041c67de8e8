"""Using a trained model on new proteins: the Python interface, files in and out, and the folder to share."""
