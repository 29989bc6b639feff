"""Classify images with TensorFlow alone, without Keras: python predict.py photo.jpg another.png"""

import sys

import tensorflow
from contract import HERE, pixels, say

classifier = tensorflow.saved_model.load(str(HERE / "saved_model"))
for path in sys.argv[1:]:
    say(path, classifier.serve(pixels(path)))
