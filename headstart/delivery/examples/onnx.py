"""Classify images with ONNX Runtime alone: python predict.py photo.jpg another.png"""

import sys

import onnxruntime
from contract import HERE, pixels, say

session = onnxruntime.InferenceSession(HERE / "classifier.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
for path in sys.argv[1:]:
    given = session.run(names, {"image": pixels(path)})
    say(path, dict(zip(names, given, strict=True)))
