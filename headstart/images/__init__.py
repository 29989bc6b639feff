"""Images: reading them out of a zip or folder, decoding, augmenting, batching."""
