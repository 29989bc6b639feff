"""Classify images with TensorFlow alone, without Keras: python predict.py photo.jpg another.png"""

import tensorflow
from contract import HERE, classify

classifier = tensorflow.saved_model.load(str(HERE / "saved_model"))
classify(classifier.serve)
