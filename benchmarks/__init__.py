"""What the published figures are measured with: make results, make bench."""
