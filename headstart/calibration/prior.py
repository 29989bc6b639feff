"""How much likelier or rarer each class is among the images at hand than probabilities take it to be."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

SMALLEST = 1e-7  # probabilities are clipped to it, as the classifier does


def factors(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns what the probabilities of each class are to be multiplied by, float64 (k,); 1 where they fit.

    probabilities: (n, k) float, of images that the classifier was not trained on. labels: (n,) int. weights: (n,) of
    mean 1. A classifier that was trained with class weights, or where the classes have other shares, gives
    probabilities of these shares; multiplied by the ratio of true to assumed shares, and divided by their sum, they are
    right (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002).

    Which shares it was trained to assume is not asked: it may lie between a head and a tail of different class weights.
    The ratios are those at which the labels are likeliest (Alexandari, Kundaje and Shrikumar, ICML 2020): one number a
    class, for which few images do. So that they are no noise, they are taken where Akaike's criterion prefers them to
    none, and only of classes that have images here.
    """
    found, present = np.ones(probabilities.shape[1]), np.unique(labels)
    logs = np.log(np.clip(probabilities[:, present].astype("float64"), SMALLEST, 1))
    targets = (labels[:, None] == present) * weights[:, None]

    def loss(shift: np.ndarray) -> tuple[float, np.ndarray]:
        shifted = logs + shift
        shifted -= logsumexp(shifted, axis=1, keepdims=True)
        return -(targets * shifted).sum() / len(labels), (weights @ np.exp(shifted) - targets.sum(axis=0)) / len(labels)

    none = np.zeros(len(present))
    best = minimize(loss, none, jac=True, method="BFGS")
    if len(labels) * (loss(none)[0] - best.fun) > len(present) - 1:
        found[present] = np.exp(best.x)
    return found
