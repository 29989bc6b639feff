"""Classify images with OpenVINO alone: python predict.py photo.jpg another.png"""

import openvino
from contract import HERE, classify

# Without the hint it computes in bfloat16 where the processor can, and answers otherwise.
model = openvino.Core().compile_model(HERE / "classifier.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
names = [output.get_any_name() for output in model.outputs]
classify(lambda pixels: dict(zip(names, model(pixels).values(), strict=True)))
