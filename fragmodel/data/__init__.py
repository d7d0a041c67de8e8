"""Raw annotation files to validated records: readers, checks, windows, questions and answers, splits."""
