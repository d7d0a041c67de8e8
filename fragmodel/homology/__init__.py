"""Relatives of proteins: the search, spans mapped through alignments, clusters, the leakage audit."""
