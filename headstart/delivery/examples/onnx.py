"""Classify images with ONNX Runtime alone: python predict.py photo.jpg another.png"""

import onnxruntime
from contract import HERE, classify

session = onnxruntime.InferenceSession(HERE / "classifier.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
classify(lambda pixels: dict(zip(names, session.run(names, {"image": pixels}), strict=True)))
