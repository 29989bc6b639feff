"""What an image's label is, and which split it goes to. Run by split alone."""
