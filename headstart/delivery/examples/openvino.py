"""Classify images with OpenVINO alone: python predict.py photo.jpg another.png"""

import sys

import openvino
from contract import HERE, pixels, say

# Without the hint it computes in bfloat16 where the processor can, and answers otherwise.
model = openvino.Core().compile_model(HERE / "classifier.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
names = [output.get_any_name() for output in model.outputs]
for path in sys.argv[1:]:
    say(path, dict(zip(names, model(pixels(path)).values(), strict=True)))
