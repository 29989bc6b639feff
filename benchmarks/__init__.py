"""What the README's figures are measured with: python -m benchmarks, or one of the scripts alone."""
