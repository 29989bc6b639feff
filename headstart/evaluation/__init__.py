"""What predictions are worth: scores, charts, galleries."""
