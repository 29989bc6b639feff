"""The whole network: joining backbone and head, its file, inference, the decision."""
