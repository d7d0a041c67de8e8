"""Stage 1, optional: both adapters are taught to say in the decoder's space what the descriptions say there."""
