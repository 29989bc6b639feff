"""Small grey images on top of each other: which crop of one is the other, and how far both agree then.

Source: Baker and Matthews, Lucas-Kanade 20 Years On, International Journal of Computer Vision 56, 2004, for `align`.
"""

import numpy as np

STEPS = 6
LARGEST = np.array([0.15, 0.15, 0.12, 0.12], np.float32)  # scaling less 1 and shift, as a fraction of the side
NOISE = 1.0  # grey levels
EDGE = 1 / 16  # of the side, on all four sides, is not compared: a crop has nothing there


def shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of `factor` x `factor` pixels, float32 (n, side / factor, side / factor)."""
    count, side, _ = images.shape
    blocks = images.astype(np.float32).reshape(count, side // factor, factor, side // factor, factor)
    return blocks.mean(axis=(2, 4))


def align(below: np.ndarray, above: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return the moves that lay each image of `above` on the one of `below`, whatever its brightness and contrast.

    below, above: float32 (n, side, side). moves: float32 (n, 4), where the search begins: the scaling less 1 in x and
    y, and the shift in x and y, as fractions of the side.
    """
    side = below.shape[1]
    below = standardised(below)
    centred = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    along_y, along_x = (gradient * side for gradient in np.gradient(below, axis=(1, 2)))
    slopes = np.stack([along_x * centred, along_y * centred[:, None], along_x, along_y], axis=-1)
    slopes = slopes.reshape(len(below), -1, 4)
    curvature = slopes.transpose(0, 2, 1) @ slopes
    ridge = 1e-3 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] / 4 + 1e-3
    inverse = np.linalg.inv(curvature + ridge * np.eye(4, dtype=np.float32))
    for _ in range(STEPS):
        error = (standardised(moved(above, moves)) - below).reshape(len(below), -1, 1)
        step = inverse @ (slopes.transpose(0, 2, 1) @ error)
        moves = np.clip(moves - step[..., 0], -LARGEST, LARGEST)
    return moves


def moved(images: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return the images as `moves` (see `align`) scale and shift them about their middle, by linear interpolation."""
    side = images.shape[1]
    across, down = (_sampling(1 + moves[:, axis], moves[:, 2 + axis] * side, side) for axis in (0, 1))
    return down @ images @ across.transpose(0, 2, 1)


def standardised(images: np.ndarray) -> np.ndarray:
    """Return the images with mean 0 and standard deviation 1; those of one grey level are 0."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    return centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-3)


class Shared:
    """What a sample of images has in common: their mean, their principal components, and how each pixel varies."""

    def __init__(self, sample: np.ndarray, most: int):
        """sample: float32 (n, side, side), no copies among them. most: how many components are taken off."""
        rows = self._rows(sample)
        self._mean, self._components, self._deviation = np.zeros(rows.shape[1], np.float32), rows[:0], np.float32(1)
        if len(rows) < 10:
            return  # what a few images have in common would be what one of them shows
        self._mean = rows.mean(axis=0)
        rows = rows - self._mean
        # There are fewer images than pixels: the eigenvectors of the small one of the two products will do.
        values, vectors = np.linalg.eigh(rows @ rows.T)
        largest = slice(None, -1 - min(most, len(rows) // 10), -1)
        self._components = (vectors[:, largest].T @ rows) / np.sqrt(np.maximum(values[largest, None], 1e-9))
        deviation = (rows - rows @ self._components.T @ self._components).std(axis=0)
        self._deviation = np.maximum(deviation, np.sqrt((deviation**2).mean()) / 4 + 1e-6)

    def correlation(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return how far the pairs agree in what is left of them: float32 (n,), 1 for equal images.

        It is 0 where less is left than noise and rounding would leave.
        """
        (first, shown), (second, shown_too) = self._rest(first), self._rest(second)
        norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
        return (first * second).sum(axis=1) / np.maximum(norms, 1e-9) * (shown & shown_too)

    def _rest(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is the images' own, and whether that is more than noise."""
        rows = self._rows(images) - self._mean
        rows -= rows @ self._components.T @ self._components
        return rows / self._deviation, rows.std(axis=1) * images.std(axis=(1, 2)) >= NOISE

    @staticmethod
    def _rows(images: np.ndarray) -> np.ndarray:
        edge = round(EDGE * images.shape[1])
        return standardised(images[:, edge:-edge, edge:-edge]).reshape(len(images), -1)


def _sampling(scale: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    """Matrices, float32 (n, side, side), whose rows interpolate between two neighbours; the edge is repeated."""
    middle = (side - 1) / 2
    places = middle + scale[:, None] * (np.arange(side, dtype=np.float32) - middle) + shift[:, None]
    places = np.clip(places, 0, side - 1)
    low = np.minimum(places.astype(int), side - 2)
    part = (places - low).astype(np.float32)
    matrices = np.zeros((len(scale), side, side), np.float32)
    image, row = np.arange(len(scale))[:, None], np.arange(side)
    matrices[image, row, low] = 1 - part
    matrices[image, row, low + 1] = part
    return matrices
