"""The team's remote, and what DVC does not do with it. Run by no stage."""
