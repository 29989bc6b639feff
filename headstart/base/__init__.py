"""What every stage stands on: parameters, errors, files, progress, checkpoints, TensorFlow, random streams."""
