"""The classifier outside of the pipeline: its exports, the runtimes that they run on, and how programs call it."""
