"""Classify images with LiteRT alone: python predict.py photo.jpg another.png"""

import sys

from ai_edge_litert.interpreter import Interpreter
from contract import HERE, pixels, say

run = Interpreter(str(HERE / "classifier.tflite")).get_signature_runner()
for path in sys.argv[1:]:
    say(path, run(image=pixels(path)))
