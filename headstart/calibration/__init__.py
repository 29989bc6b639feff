"""How sure a classifier is, and from where on it decides: set on validation images. Run by `calibrate` alone."""
