"""`extract` with OpenVINO, bfloat16 and float32, against TensorFlow: InceptionV3 at 150x150, 4,000 photographs."""

import importlib.util
from statistics import median

from benchmarks.workspace import photographs, workspace
from headstart import errors

TURNS = 3
ENGINES = (("tensorflow", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))


def rows() -> list[tuple[str, str, str]]:
    """The row of the benchmarks' table: figure, measured, to reach."""
    figure, target = "extract, OpenVINO bfloat16 over TensorFlow", "1.8"
    if importlib.util.find_spec("openvino") is None:
        return [(figure, "not measured: pip install -r requirements-openvino.txt", target)]
    rates = {pair: [] for pair in ENGINES}
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.views": "live"})
        for name in ("fetch", "split"):
            place.stage(name)
        for _ in range(TURNS):
            for engine, precision in ENGINES:
                place.set({"extract.engine": engine, "extract.precision": precision})
                rates[engine, precision].append(place.rate("extract"))
    plain, full, half = (median(rates[pair]) for pair in ENGINES)
    times = median(one / other for one, other in zip(rates[ENGINES[2]], rates[ENGINES[0]], strict=True))
    measured = f"{times:.2f} ({half:.0f}, {plain:.0f} images/s; OpenVINO float32 {full:.0f})"
    return [(figure, measured, target)]


if __name__ == "__main__":
    errors.run(lambda: print(*rows()[0], sep="\n"))
