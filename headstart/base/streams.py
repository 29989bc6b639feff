"""One random stream for each purpose, so that what one of them draws changes nothing elsewhere."""

import numpy as np

# A purpose keeps its number for good: another one draws other images, orders and views, and so changes every result.
PURPOSES = {
    "order": 0,  # of the training images in an epoch; number: the epoch, from 0
    "views": 1,  # which of the fixed views of each image an epoch takes; number: the epoch, from 0
    "subset": 2,  # the training images that train_images draws from a class; number: the class
    "subset of groups": 5,  # the same where images are in groups; number: 0
    "cross-validation": 4,  # the images that the head's penalty is chosen on, where there are many; number: the class
    "mixup": 6,  # how much of each image goes into a mixed one; number: the epoch, from 0
    "head views": 7,  # which of the fixed views an epoch of the head's training takes; number: the epoch, from 0
    "inspection": 8,  # the images that splits are compared by, where a class has many; number: see inspection.shift
    "known images": 9,  # those that a classifier keeps, where there are many; number: 0 training, 1 validation
    "bootstrap": 10,  # which groups of test images are drawn for an interval; number: 0
    "corruptions": 11,  # number: 0 which test images are corrupted, 1 their noise
    "images for 8 bits": 12,  # training images by which an export in int8 finds its ranges; number: 0
    "regression": 13,  # the images that the head is solved on, where there are many; number: the class
    "calibration by chance": 14,  # which images are right where each is as often as it is sure; number: 0
    "live views": 3,  # views that are computed anew in every epoch; number: the epoch, from 0
}


def rng(seed: int, purpose: str, number: int) -> np.random.Generator:
    """The generator for one purpose and number: equal arguments give equal draws, others are independent.

    seed: the parameter `seed`. purpose: one of `PURPOSES`. number: which epoch, or which class, the draws are for.
    (The splits have a seed of their own, `split.seed`, and a view's map depends only on the image: `images.augment`.)
    """
    return np.random.default_rng([seed, number, PURPOSES[purpose]])
