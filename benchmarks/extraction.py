"""`extract` against the bare network, and against itself with OpenVINO: InceptionV3 at 150x150, 4,000 photographs.

The rates are those of the work itself, with decoding and writing; the start of the stage is left out. What is compared
takes turns, and a ratio is the median over the turns.
"""

from statistics import mean, median, stdev
from typing import Any

from benchmarks import workspace
from benchmarks.measuring import Measurement
from benchmarks.workspace import Workspace
from headstart.artifacts import features, manifest, models
from headstart.classifier import decision
from headstart.cluster import where

TURNS = 3
SEEDS = range(1, 6)
# 1,920 of the photographs, in blocks of 256: short turns, since what else a machine does comes and goes.
FEW = {"split.train": 480, "split.validation": 240, "split.test": 240}
WORKERS = 1, 2  # of one core each
ENGINES = (("tensorflow", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))


def against_bare(measurement: Measurement) -> dict[str, Any]:
    """Images per second of `extract` and of the bare network, and the ratio of the two."""
    stage, bare = [], []
    with workspace.temporary(measurement.parameters()) as place:
        _split(place)
        for _ in range(TURNS):
            bare.append(place.python("benchmarks.bare_network").rate("bare"))
            stage.append(place.stage("extract").rate("extract"))
    return {"extract": round(median(stage), 1), "bare": round(median(bare), 1), "ratio": _ratio(stage, bare)}


def spread(measurement: Measurement) -> dict[str, Any]:
    """Images per second of `extract` by workers of one core each over those without Ray on as many cores, in turns.

    Of the last three quarters of the images: start and end of Ray's processes are left out, as those of the stage are.
    """
    rates: dict[str, list[float]] = {}
    with workspace.temporary(measurement.parameters()) as place:
        _split(place)
        for _ in range(TURNS):
            for count in WORKERS:
                here = {where.RAY: "local", where.WORKERS: str(count), where.CORES: "1"}
                for name, environment in ((f"alone_{count}", {}), (f"workers_{count}", here)):
                    work = place.stage("extract", count, **environment)
                    rates.setdefault(name, []).append(work.steady("extract"))
    ratios = {f"ratio_{count}": _ratio(rates[f"workers_{count}"], rates[f"alone_{count}"]) for count in WORKERS}
    return {name: round(median(values), 1) for name, values in rates.items()} | ratios


def by_engine(measurement: Measurement) -> dict[str, Any]:
    """Images per second of `extract` with each engine and precision, and OpenVINO bfloat16 over TensorFlow."""
    rates: dict[str, list[float]] = {}
    with workspace.temporary(measurement.parameters()) as place:
        _split(place)
        for _ in range(TURNS):
            for engine, precision in ENGINES:
                place.set(measurement.parameters(**{"extract.engine": engine, "extract.precision": precision}))
                rates.setdefault(f"{engine}_{precision}", []).append(place.stage("extract").rate("extract"))
    ratio = _ratio(rates["openvino_bfloat16"], rates["tensorflow_float32"])
    return {name: round(median(values), 1) for name, values in rates.items()} | {"ratio": ratio}


def by_precision(measurement: Measurement) -> dict[str, Any]:
    """Mean and standard deviation over five seeds of the head's test accuracy, on float32 and bfloat16 features."""
    accuracies = {}
    with workspace.temporary(measurement.parameters()) as place:
        _split(place)
        for engine, precision in (ENGINES[0], ENGINES[2]):
            values = {"extract.engine": engine, "extract.precision": precision}
            place.set(measurement.parameters(**values))
            place.stage("extract")
            seeds = []
            for seed in SEEDS:
                place.set(measurement.parameters(**values, seed=seed))
                place.stage("train_head")
                seeds.append(_accuracy(place))
            accuracies[precision] = {"mean": round(mean(seeds), 6), "deviation": round(stdev(seeds), 6)}
    return accuracies


def head_alone(measurement: Measurement) -> dict[str, Any]:
    """Test accuracy of the head, and the seconds of the stages up to it, each with its start."""
    with workspace.temporary(measurement.parameters()) as place:
        seconds = {stage: place.stage(stage).seconds for stage in (*workspace.EXTRACTION, "train_head")}
        accuracy = round(_accuracy(place), 6)
    return {"accuracy": accuracy, "seconds": {stage: round(value, 1) for stage, value in seconds.items()}}


def _split(place: Workspace) -> None:
    for stage in ("fetch", "split"):
        place.stage(stage)


def _ratio(rates: list[float], others: list[float]) -> float:
    return round(median(a / b for a, b in zip(rates, others, strict=True)), 3)


def _accuracy(place: Workspace) -> float:
    """Test accuracy of the head in the workspace, on the features there."""
    images = manifest.read(place.path)
    rows = images.rows("test")
    inputs = features.read_bottleneck(place.path)[rows].astype("float32")
    outputs = models.load_head(place.path).predict(inputs, verbose=0)
    return float((decision.predicted(decision.probabilities(outputs)) == images.labels[rows]).mean())
