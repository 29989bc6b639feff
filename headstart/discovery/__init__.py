"""What can be seen in a stranger's images, and the recipe that follows. Run by `start` alone."""
