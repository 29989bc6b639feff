"""Pretrained networks without their top: building, weights, the cut, folding, engines."""
