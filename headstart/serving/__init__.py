"""The classifier over HTTP: a page to try it, and an interface to call. Needs no TensorFlow."""
