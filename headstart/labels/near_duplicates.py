"""Near-duplicates: copies of an image that were encoded anew, resized, brightened or slightly cropped.

Candidates are pairs whose perceptual hashes (imagehash's pHash, of 256 bits) are close. A pair is then laid on top of
each other (`alignment`) and confirmed where the small grey versions agree in what is their own: what many images of the
source share, such as the bars of a solar cell or a white background, is taken off first, or all would be alike.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from headstart.base.progress import track
from headstart.base.threads import in_order
from headstart.images.facts import THUMBNAIL as SIDE
from headstart.labels import alignment

# The correlation that a pair must have at a quarter, at half and at the whole of this side. The last one decides: in
# four sets of images (photos, solar cells, drawings) nearly all above it were the same picture to the eye, and hardly
# any below it.
LEAST = {16: 0.3, 32: 0.6, 64: 0.9}
FARTHEST = 100  # bits between the hashes of two candidates; unrelated images differ in about 128
TIGHT = 24  # bits between the hashes of copies that are not cropped
FEW = 4  # images of one hash, as drawings have that only look alike; of more, one stands for all
PER_IMAGE = 4  # candidates; where all images look alike only the nearest are compared, so that time does not explode
SAMPLE = 1000  # images, at most, that what all of them share is taken from
FLAT = 2.0  # grey levels: an image whose standard deviation is less shows nothing
# Drawn shapes, icons and characters have few grey levels, and little of their own but where their edges are: any circle
# can be laid on any other. So of two images of which `LEVELS` ranges of `WIDTH` grey levels hold `DRAWN` of all pixels,
# the same picture is one that was cropped and brightened a little, and agrees in grey levels. Of 1,400 photographs 3
# are such, of 300 characters and 200 drawn shapes and icons all but 12.
DRAWN, LEVELS, WIDTH = 0.87, 2, 9
# Of two drawings, whose grey levels decide, the correlation may be lower: what a circle has of its own is its edge,
# which a crop moves. With this and `FEW`, of 400 shapes cropped by 3 % and brightened by 10 % 2 are lost, not 60, of
# those cropped by 4 % 51, not 108; of 150 shapes that only look alike 4 at most are taken for one, as without.
LEAST_DRAWN = {16: 0.3, 32: 0.4, 64: 0.6}
CROPPED, BRIGHTENED = (0.06, 0.06, 0.04, 0.04), 1.3  # moves, as of `alignment.align`, and factor of the grey levels
# Of their deviation, or of what encoding anew changes in any image, in grey levels: the root of the mean square of what
# the two differ by.
APART, ENCODED = 0.12, 1.0
BLOCK = 256  # hashes, or pairs, at a time
CELLS = 2**22  # distances of hashes at a time, so that memory does not grow with the images
# Of more images than ALL not each is compared with each, but those that have a leader in common: the NEAREST of every
# LEAD-th image are its leaders (cluster pruning: Manning, Raghavan and Schütze, Introduction to Information Retrieval,
# 7.1.6). Tried on 7,480 copies among 7,500 pictures with 500 leaders: of those at most 24, 60 and 100 bits away 99.9 %,
# 99.6 % and 96 % were compared.
ALL, LEAD, NEAREST = 50_000, 500, 8


def find(thumbnails: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """Return the pairs of near-duplicates by their paths, in the order of `thumbnails`.

    thumbnails: uint8 (64, 64), grey (`decoding.thumbnail`), by path. Of many images of one hash not all pairs are
    compared, but each with the next one.
    """
    paths = list(thumbnails)
    return [(paths[first], paths[second]) for first, second in _find(list(thumbnails.values()))]


def among(thumbnails: Mapping[str, np.ndarray], paths: Iterable[str]) -> list[tuple[str, str]]:
    """The same of some of the images."""
    return find({path: thumbnails[path] for path in paths})


def _find(thumbnails: list[np.ndarray]) -> list[tuple[int, int]]:
    if len(thumbnails) < 2:
        return []
    shown = np.flatnonzero([small.std() >= FLAT for small in thumbnails])
    if len(shown) < 2:
        return []
    first, second, distance = _candidates(_hashes(thumbnails[row] for row in shown))
    if not len(first):
        return []
    tight = distance <= TIGHT
    sample = shown[_different(first[tight], second[tight], len(shown))]
    sample = np.stack([thumbnails[row] for row in sample[:: -(-len(sample) // SAMPLE)]])
    first, second = shown[first], shown[second]
    shared = {side: alignment.Shared(alignment.shrink(sample, SIDE // side), side) for side in LEAST}
    blocks = [slice(start, start + BLOCK) for start in range(0, len(first), BLOCK)]

    def confirm(block: slice) -> np.ndarray:
        pairs = (np.stack([thumbnails[row] for row in rows[block]]) for rows in (first, second))
        return _confirmed(*pairs, shared)

    # Each block has a thread of its own; those of BLAS beside them, for matrices as small as these, only wait.
    with threadpool_limits(1):
        confirmed = list(track(in_order(confirm, blocks), "comparing", len(blocks), unit="batch"))
    kept = np.concatenate(confirmed)
    return sorted(zip(first[kept].tolist(), second[kept].tolist(), strict=True))


def _different(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """The positions, of `count`, that are left with one of each set of copies, which these pairs connect.

    A set of many images is left whole: then they look alike, as all cells of a solar module do, and are no copies.
    """
    cluster = connected_components(coo_array((np.ones(len(first)), (first, second)), (count, count)))[1]
    _, leaders, sizes = np.unique(cluster, return_index=True, return_counts=True)
    leads = np.isin(np.arange(count), leaders)
    return np.flatnonzero(leads | (sizes > max(10, count / 20))[cluster])


def _hashes(smalls: Iterable[np.ndarray]) -> np.ndarray:
    """The perceptual hashes, uint8 (n, 32): 256 bits each. SIDE is the size to which pHash would bring an image."""
    return np.stack(
        [np.packbits(imagehash.phash(Image.fromarray(small), hash_size=SIDE // 4).hash) for small in smalls]
    )


def _candidates(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs whose hashes are close: positions (k,) and (k,), the first below the second, and distances (k,)."""
    order = np.lexsort(hashes.T)
    equal = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    group = np.concatenate([[0], np.cumsum(~equal)])
    equal &= np.bincount(group)[group[1:]] > FEW
    same = np.sort(np.stack([order[:-1][equal], order[1:][equal]]), axis=0)
    alone = np.sort(order[np.concatenate([[True], ~equal])])
    most = PER_IMAGE * len(hashes) + 1000
    limit, found = FARTHEST, np.zeros((3, 0), np.int64)
    words = np.ascontiguousarray(hashes[alone].view(np.uint64).T)
    once = _once if len(alone) > ALL else np.asarray  # neighbours may have several leaders in common
    for group in _compared(words):
        step = _rows(len(group))
        for pairs in in_order(partial(_close, words[:, group], step), range(0, len(group), step)):
            near = pairs[:, pairs[2] <= limit]
            found = np.concatenate([found, [*group[near[:2]], near[2]]], axis=1)
            if found.shape[1] > most:
                found = once(found)
                limit = np.flatnonzero(np.cumsum(np.bincount(found[2], minlength=limit + 1)) <= most).max(initial=0)
                found = found[:, found[2] <= limit]
    found = once(found)
    first, second, distance = np.concatenate([[*alone[found[:2]], found[2]], [*same, np.zeros_like(same[0])]], axis=1)
    return first, second, distance


def _compared(words: np.ndarray) -> Iterator[np.ndarray]:
    """The positions of hashes of which each is compared with each: all; of many, the neighbours of one leader each."""
    count = words.shape[1]
    if count <= ALL:
        yield np.arange(count)
        return
    leaders = words[:, ::LEAD]
    step = _rows(leaders.shape[1])
    starts = track(range(0, count, step), "sorting", unit="batch")

    def nearest(start: int) -> np.ndarray:
        return np.argpartition(_distances(words[:, start : start + step], leaders), NEAREST)[:, :NEAREST]

    owners = np.concatenate([*in_order(nearest, starts)]).ravel()
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=leaders.shape[1]))[:-1]
    yield from track(np.split(order // NEAREST, ends), "looking for near-duplicates", unit="group")


def _once(pairs: np.ndarray) -> np.ndarray:
    """The same pairs, int64 (3, k), in order and each once."""
    return pairs[:, np.unique(pairs[0] << 32 | pairs[1], return_index=True)[1]]


def _rows(columns: int) -> int:
    return max(1, min(BLOCK, CELLS // max(1, columns)))


def _distances(words: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The bits in which hashes differ, uint64 (4, n) and (4, m): uint16 (n, m)."""
    distances = np.zeros((words.shape[1], others.shape[1]), np.uint16)
    for word, other in zip(words, others, strict=True):
        distances += np.bitwise_count(word[:, None] ^ other)
    return distances


def _close(words: np.ndarray, step: int, start: int) -> np.ndarray:
    """The positions of two hashes and the bits in which they differ, where these are few: int64 (3, k).

    words: uint64 (4, n), the hashes. start: where the block of `step` begins from which the first of the two is.
    """
    distances = _distances(words[:, start : start + step], words[:, start:])
    rows, columns = np.nonzero(distances <= FARTHEST)
    later = columns > rows
    rows, columns = rows[later], columns[later]
    return np.stack([rows + start, columns + start, distances[rows, columns]])


def _drawn(small: np.ndarray) -> bool:
    """Whether an image, uint8 (64, 64), has few grey levels."""
    counts, held = np.bincount(small.ravel(), minlength=256), 0
    for _ in range(LEVELS):
        sums = np.convolve(counts, np.ones(WIDTH, int), "same")
        at = int(sums.argmax())
        held += sums[at]
        counts[max(0, at - WIDTH // 2) : at + WIDTH // 2 + 1] = 0
    return held >= DRAWN * small.size


def _are_drawn(small: np.ndarray, other: np.ndarray) -> bool:
    return _drawn(small) and _drawn(other)


def _same_greys(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Whether one of two images on top of each other is the other one brightened; float32 (n, side, side) both."""
    edge = round(alignment.EDGE * below.shape[1])
    below, above = (images[:, edge:-edge, edge:-edge].reshape(len(images), -1) for images in (below, above))
    inside = (below < 250) & (above < 250)  # white stays white
    factor = (below * above * inside).sum(axis=1) / np.maximum((above**2 * inside).sum(axis=1), 1)
    bright = np.minimum(factor[:, None] * above, 255)
    apart, most = np.sqrt(((bright - below) ** 2).mean(axis=1)), np.maximum(APART * below.std(axis=1), ENCODED)
    return (apart <= most) & (np.abs(np.log(np.maximum(factor, 1e-3))) <= np.log(BRIGHTENED))


def _confirmed(first: np.ndarray, second: np.ndarray, shared: dict[int, alignment.Shared]) -> np.ndarray:
    """Whether each pair agrees at all sides; uint8 (n, 64, 64) both."""
    left, moves = np.arange(len(first)), np.zeros((len(first), 4), np.float32)
    for side, least in LEAST.items():
        if not len(left):
            break
        below, above = (alignment.shrink(images[left], SIDE // side) for images in (first, second))
        moves = alignment.align(below, above, moves)
        agreement = shared[side].correlation(below, alignment.moved(above, moves))
        agree = agreement >= least
        for at in np.flatnonzero(~agree & (agreement >= LEAST_DRAWN[side])):
            agree[at] = _are_drawn(first[left[at]], second[left[at]])
        left, moves = left[agree], moves[agree]
    drawn = np.array([_are_drawn(first[row], second[row]) for row in left], bool)
    if drawn.any():
        below, above = (images[left[drawn]].astype(np.float32) for images in (first, second))
        little = (np.abs(moves[drawn]) <= CROPPED).all(axis=1)
        drawn[drawn] = ~(little & _same_greys(below, alignment.moved(above, moves[drawn])))
    confirmed = np.zeros(len(first), bool)
    confirmed[left[~drawn]] = True
    return confirmed
