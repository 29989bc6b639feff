"""Classify images with LiteRT alone: python predict.py photo.jpg another.png"""

from ai_edge_litert.interpreter import Interpreter
from contract import HERE, classify

run = Interpreter(str(HERE / "classifier.tflite")).get_signature_runner()
classify(lambda pixels: run(image=pixels))
