"""The head, and training it or the layers after the cut."""
