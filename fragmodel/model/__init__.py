"""The joined model: encoder, modality adapter, fragment adapter and decoder, and how it is built and saved."""
