"""The tables of docs/speed.md, and that of docs/scale.md: which measurements they are made of."""

from functools import partial
from statistics import mean

from benchmarks import checks, epochs, extraction, first_run, growth, predicting, runs, scores, serving, training
from benchmarks.measuring import Measurement, until
from benchmarks.tables import UNKNOWN, Numbers, Row, Table, spread
from headstart.base import wording

SPEED, SCALED, COMMAND = "docs/speed.md", "docs/scale.md", "python -m benchmarks.speed --only {}"
BARE = {"fine_tune.views": "live"}  # extraction without activations at the cut
EPOCHS = Measurement(
    "speed/epochs", epochs.measure, 9, "cats_vs_dogs", {"fine_tune.views": 2}, stages=until("fine_tune")
)
CHECKS = Measurement("speed/checks", checks.measure, 11, "solar_cells", {"fine_tune.epochs": 1})
AGAINST_BARE = Measurement("speed/extract", extraction.against_bare, 7, "cats_vs_dogs", BARE, stages=until("extract"))
SPREAD = Measurement(
    "speed/spread", extraction.spread, 15, "cats_vs_dogs", BARE | extraction.FEW, stages=until("extract"), needs="ray"
)
ENGINES = Measurement(
    "speed/engines", extraction.by_engine, 8, "cats_vs_dogs", BARE, stages=until("extract"), needs="openvino"
)
PRECISION = Measurement(
    "speed/precision", extraction.by_precision, 4, "cats_vs_dogs", BARE, stages=until("train_head"), needs="openvino"
)
HEAD_ALONE = Measurement(
    "speed/head_alone",
    extraction.head_alone,
    1,
    "cats_vs_dogs",
    BARE | runs.LITE1 | {"fine_tune.cut": 0},
    stages=until("train_head"),
)
GROWTH = tuple(
    Measurement(
        f"speed/growth_{count}",
        partial(growth.measure, count=count),
        1 + count / 8_000,
        "solar_cells",
        growth.VALUES,
    )
    for count in growth.COUNTS
)
FIRST_RUNS = tuple(Measurement(f"speed/make_repro-{turn}", first_run.measure, 4, "solar_cells") for turn in (1, 2, 3))


def _recipes(numbers: Numbers, goal: str = "60") -> list[str]:
    article, ours = scores.article_seconds(numbers[0]), sum(numbers[1]["seconds"].values())
    epoch = sum(numbers[0]["epochs"]) / len(numbers[0]["epochs"])
    return [f"{article / ours:.0f} times ({article:,.0f} s, {epoch:.0f} s per epoch; {ours:.0f} s)", goal]


def _recipes_accuracy(numbers: Numbers) -> list[str]:
    article, ours = (training.test(run) for run in numbers)
    scored = (article.scores.get(model, article.scores[article.delivered]) for model in ("fine_tuned", "head"))
    accuracies = (f"{scores['accuracy']:.3f}" for scores in scored)
    after = "{} after ten epochs, {} of the article's head".format(*accuracies)
    return [f"{after}; {ours.scores[ours.delivered]['accuracy']:.3f}", "the more accurate one"]


def _live(numbers: Numbers) -> list[str]:
    live, cached = numbers[0]["live"], numbers[0]["cached"]
    return [f"{live / cached:.1f} ({live:.1f} s, {cached:.1f} s)", "3"]


def _determinism(numbers: Numbers) -> list[str]:
    on, off = numbers[0]["cached"], numbers[0]["without_determinism"]
    return [f"{on / off:.2f} ({on:.1f} s, {off:.1f} s)", UNKNOWN]


def _new_stages(numbers: Numbers) -> list[str]:
    seconds = (numbers[0]["seconds"][stage] for stage in ("inspect", "calibrate", "report"))
    return [f"{sum(seconds):.0f} s", "at most 30 s"]


def _checks(numbers: Numbers) -> list[str]:
    (checked, unchecked), whole = (numbers[0][name] for name in ("checked", "unchecked")), numbers[1]["seconds"]
    return [f"{checked - unchecked:+.1f} s, {(checked - unchecked) / sum(whole.values()):.1%}", "under 2 %"]


def _bare(numbers: Numbers) -> list[str]:
    rates = numbers[0]
    return [f"{rates['ratio']:.2f} ({rates['extract']:.0f}, {rates['bare']:.0f} images/s)", "0.95"]


def _spread(numbers: Numbers, workers: int) -> list[str]:
    rates = numbers[0]
    ratio, ray, alone = (rates[f"{name}_{workers}"] for name in ("ratio", "workers", "alone"))
    return [f"{ratio:.2f} ({ray:.1f}, {alone:.1f} images/s)", "0.9"]


def _engines(numbers: Numbers) -> list[str]:
    rates = numbers[0]
    half, plain, full = (rates[name] for name in ("openvino_bfloat16", "tensorflow_float32", "openvino_float32"))
    return [f"{rates['ratio']:.2f} ({half:.0f}, {plain:.0f} images/s; OpenVINO float32 {full:.0f})", "1.8"]


def _precision(numbers: Numbers) -> list[str]:
    half, full = (f"{numbers[0][name]['mean']:.4f} ± {numbers[0][name]['deviation']:.4f}" for name in _PRECISIONS)
    return [f"{half}; in TensorFlow's float32 {full}", UNKNOWN]


_PRECISIONS = ("bfloat16", "float32")


def _head_alone(numbers: Numbers) -> list[str]:
    run = numbers[0]
    return [f"{run['accuracy']:.4f}, {sum(run['seconds'].values()):.0f} s", "0.990, at most 60 s"]


def _growth(numbers: Numbers, stage: str) -> list[str]:
    return [f"{run[stage]['seconds']:.0f} s, {run[stage]['megabytes'] / 1000:.2f} GB" for run in numbers]


def _nothing_to_do(numbers: Numbers, command: str) -> list[str]:
    return [f"{run[command]['seconds']:.1f} s" for run in numbers]


def _idle(numbers: Numbers) -> list[str]:
    repro, status = (mean(run[name] for run in numbers) for name in ("dvc_repro", "dvc_status"))
    return [f"{repro / status:.2f} ({repro:.2f} s, {status:.2f} s)", "at most 1.5"]


def _serving(numbers: Numbers) -> list[str]:
    rates = numbers[0]
    return [f"{rates['ratio']:.2f} ({rates['requests']:.0f} requests/s, {rates['bare']:.0f} images/s)", "0.8"]


def _waiting(numbers: Numbers) -> list[str]:
    return [f"{1000 * numbers[0]['p50']:.0f} ms, {1000 * numbers[0]['p99']:.0f} ms", UNKNOWN]


def _soak(numbers: Numbers) -> list[str]:
    seen = numbers[0]
    memory = f"{seen['last_megabytes']:.0f} MB after {seen['second_megabytes']:.0f} MB"
    return [f"{memory}, {seen['last_files']:.0f} open files after {seen['second_files']:.0f}", "the same"]


def _predicting(numbers: Numbers, runtime: str, source: str) -> list[str]:
    rates = numbers[0][runtime]
    return [f"{rates[source]['ratio']:.2f} ({rates[source]['rate']:.0f}, {rates['bare']:.0f} images/s)", "0.9"]


def _predicting_from_s3(numbers: Numbers) -> list[str]:
    return [f"{numbers[0]['s3']['cpu']:.2f}; from the folder {numbers[0]['folder']['cpu']:.2f}", "0.9"]


def _make_repro(numbers: Numbers) -> list[str]:
    return [f"{spread([run['make_repro'] for run in numbers], 1)} s, {len(numbers)} runs", UNKNOWN]


SERVED = Measurement(
    "speed/serving", serving.against_bare, 6, "solar_cells", {"fine_tune.epochs": 1}, stages=until("calibrate")
)
SOAKED = Measurement("speed/soak", serving.soak, 10, "solar_cells", {"fine_tune.epochs": 1}, stages=until("calibrate"))
PREDICTED, FROM_S3 = (
    Measurement(
        f"speed/{name}", measure, 6, "solar_cells", {"fine_tune.epochs": 1}, stages=until("calibrate"), needs=needs
    )
    for name, measure, needs in (("predict", predicting.against_bare, None), ("predict_s3", predicting.from_s3, "moto"))
)
RECIPES = (runs.ARTICLE, runs.CATS[0])
FIGURES = Table(
    "figures",
    SPEED,
    ("figure", "measured", "to reach"),
    (
        Row(
            "recipes",
            (
                "the article's recipe over `cats_vs_dogs`, from the source to a tested classifier (the article's "
                "200 epochs extrapolated from ten)",
            ),
            _recipes,
            RECIPES,
        ),
        Row(
            "recipes_openvino",
            ("the same, with `extract.engine: openvino` and `extract.precision: bfloat16`",),
            partial(_recipes, goal="80"),
            (runs.ARTICLE, runs.CATS_OPENVINO),
        ),
        Row("recipes_accuracy", ("test accuracy of both",), _recipes_accuracy, RECIPES),
        Row("epochs", ("an epoch of fine-tuning, live over cached, same layers trained",), _live, (EPOCHS,)),
        Row("determinism", ("an epoch of fine-tuning, with op determinism over without it",), _determinism, (EPOCHS,)),
        Row(
            "checks",
            ("hashing arrays and syncing outputs, of the default run",),
            _checks,
            (CHECKS, runs.SOLAR_CELLS[0]),
        ),
        Row("extract", ("`extract` over the bare network, TensorFlow",), _bare, (AGAINST_BARE,)),
        *(
            Row(
                f"spread_{workers}",
                (f"`extract` by {wording.count(workers, 'worker')} of Ray's of one core over none, same cores",),
                partial(_spread, workers=workers),
                (SPREAD,),
            )
            for workers in extraction.WORKERS
        ),
        Row("engines", ("`extract` with OpenVINO bfloat16 over TensorFlow",), _engines, (ENGINES,)),
        Row(
            "precision",
            ("test accuracy of the head alone on features in bfloat16, seeds 1 – 5",),
            _precision,
            (PRECISION,),
        ),
        Row(
            "head_alone",
            ("`cats_vs_dogs` with EfficientNet-Lite1 at 240: the head alone on the test images, and all up to it",),
            _head_alone,
            (HEAD_ALONE,),
        ),
        Row(
            "new_stages",
            ("`inspect`, `calibrate` and `report` of the default run, together",),
            _new_stages,
            runs.SOLAR_CELLS[:1],
        ),
        Row(
            "make_repro",
            ("`make repro` in a fresh clone, after the installation",),
            _make_repro,
            FIRST_RUNS,
        ),
        Row(
            "serving",
            (f"`python -m headstart.serve` under {serving.CLIENTS} clients over ONNX Runtime alone, same batches",),
            _serving,
            (SERVED,),
        ),
        Row(
            "waiting", ("of it at half that load: half of the requests within, 99 in 100 within",), _waiting, (SERVED,)
        ),
        Row(
            "soak", ("of it, memory in the last of five minutes at half that load, after the second",), _soak, (SOAKED,)
        ),
        *(
            Row(
                f"predict_{runtime}_{source}",
                (f"`predict --out`, {named}, from a {source}, over the network alone, same batches",),
                partial(_predicting, runtime=runtime, source=source),
                (PREDICTED,),
            )
            for runtime, named in (("keras", "Keras"), ("onnx", "ONNX Runtime"))
            for source in ("folder", "zip")
        ),
        Row(
            "predict_s3",
            ("seconds of processor of ONNX Runtime alone over those of `predict --out` from S3",),
            _predicting_from_s3,
            (FROM_S3,),
        ),
        Row("idle", ("`dvc repro` with nothing to do over `dvc status`",), _idle, FIRST_RUNS),
    ),
    COMMAND.format("figures"),
)


def _stage(numbers: Numbers, stage: str) -> list[str]:
    seconds = numbers[0]["seconds"]
    return [f"{seconds[stage]:.0f} s", f"{seconds[stage] / sum(seconds.values()):.0%}"]


STAGES = Table(
    "stages",
    SPEED,
    ("stage", "what takes the time", "seconds", "share"),
    tuple(
        Row(f"stage_{stage}", (f"`{stage}`", what), partial(_stage, stage=stage), runs.CATS[:1])
        for stage, what in (
            ("fetch", "its start; the archive is there already"),
            ("split", "decoding of 4,000 images, near-duplicates"),
            ("extract", "4,000 images through the network"),
            ("inspect", "decoding of 4,000 images, cross-validated regressions"),
            ("train_head", "its start, cross-validated regressions"),
            (
                "fine_tune",
                "three epochs; three networks compared on 1,000 images and their mirror images; known images",
            ),
            ("calibrate", "its start, temperature and rule"),
            ("evaluate", "1,000 images and their mirror images, 2,100 corrupted ones"),
            ("report", "its start, heat maps, thumbnails"),
        )
    ),
    COMMAND.format("stages"),
)


SCALE = Table(
    "scale",
    SCALED,
    ("stage", *(f"{count:,} images" for count in growth.COUNTS)),
    tuple(
        Row(f"scale_{stage}", (f"`{stage}`",), partial(_growth, stage=stage), GROWTH)
        for stage in until("report")
        if stage != "fetch"
    )
    + tuple(
        Row(f"scale_{command[4:]}", (f"`{command}`, nothing to do",), partial(_nothing_to_do, command=command), GROWTH)
        for command in growth.COMMANDS
    ),
    COMMAND.format("scale"),
)


def _cut(numbers: Numbers) -> list[str]:
    """Accuracies over the seeds, mean seconds of two stages, and the size of the features."""
    tests = [training.test(run) for run in numbers]
    accuracies = (
        [training.kept(run, "fine_tune", "accuracy") for run in numbers],
        [test.scores[test.delivered]["accuracy"] for test in tests],
    )
    seconds = (mean(run["seconds"][stage] for run in numbers) for stage in ("extract", "fine_tune"))
    return [
        *(spread(values, 3) for values in accuracies),
        *(f"{value:.0f} s" for value in seconds),
        f"{numbers[0]['megabytes']:,.0f}",
    ]


def _cuts(preset: str, minutes: float, cuts: list[tuple[str, int]]) -> list[Row]:
    """One row per cut and number of views, of seed 1; the first is the preset's own."""
    rows = []
    for number, (cut, views) in enumerate(cuts):
        name, values = f"{preset}_{cut}_{views}", {"fine_tune.cut": cut, "fine_tune.views": views}
        preset_run = {"solar_cells": runs.SOLAR_CELLS, "cats_vs_dogs": runs.CATS}[preset][:1]
        group = runs.runs(f"cuts/{name}", preset, minutes, seeds=1, values=values) if number else preset_run
        first = (f"`{preset}`" + ("" if number else ", the preset"), f"`{cut}`", str(views))
        rows.append(Row(name, first, _cut, group, ("1",)))
    return rows


LIVE = runs.runs("cuts/solar_cells_block10_live", "solar_cells", 6, values={"fine_tune.views": "live"})
CUTS = Table(
    "cuts",
    SPEED,
    ("preset", "cut", "views", "validation", "test", "`extract`", "`fine_tune`", "MB", "seeds"),
    (
        *_cuts("cats_vs_dogs", 4, [("mixed8", 1), ("mixed8", 4), ("mixed7", 4), ("mixed9", 4)]),
        *_cuts("solar_cells", 3.5, [("block7", 4), ("block10", 2), ("block10", 1), ("block11", 4)]),
        Row("solar_cells_block10_live", ("`solar_cells`", "`block10`", "live"), _cut, LIVE, ("1 – 3",)),
    ),
    COMMAND.format("cuts"),
)
