"""What is odd about the images and their labels, by their features. Run by `inspect` alone."""
