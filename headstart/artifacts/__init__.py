"""What stages hand on to each other: one module per file, which alone reads and writes it."""
