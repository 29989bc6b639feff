"""Measurements, and running those that are missing: what is done stays done when the rest is stopped."""

import datetime
import importlib.util
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import records, workspace
from benchmarks.records import Record
from benchmarks.workspace import Workspace
from headstart.base.errors import UserError

STAGES = ("fetch", "split", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report")


def until(stage: str) -> tuple[str, ...]:
    """The stages up to one of them, but for those that show what others made."""
    stages = STAGES[: STAGES.index(stage) + 1]
    return stages if stage in ("inspect", "report") else tuple(name for name in stages if name != "inspect")


OPTIONAL = {
    "moto": ("moto, which stands for S3,", "requirements-dev.txt"),
    "openvino": ("OpenVINO", "requirements-openvino.txt"),
    "ray": ("Ray", "requirements-ray.txt"),
}


@dataclass(frozen=True, eq=False)
class Measurement:
    """Something to measure, whose numbers become the record of that name.

    measure: does it, and returns the numbers, ready for JSON.
    minutes: what it takes on two cores, more or less.
    preset, values, seed: the parameters; `values`, by their dotted names, are those that differ from the preset.
    stages: those whose code and parameters decide the numbers.
    needs: the optional package without which it is left as it is, one of `OPTIONAL`; with openvino it needs a processor
        with bfloat16, too.
    source: the file of the images, in the folder of the real ones; default: those of the preset.
    """

    name: str
    measure: Callable[["Measurement"], dict[str, Any]]
    minutes: float
    preset: str
    values: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    stages: tuple[str, ...] = STAGES
    needs: str | None = None
    source: str | None = None

    def parameters(self, **values: Any) -> dict[str, Any]:
        """All parameters to run with; the photographs and the weights of InceptionV3 are local files."""
        local = workspace.photographs() if self.preset in workspace.PHOTOGRAPHS else {}
        if self.source:
            local["dataset.path"] = workspace.shared(self.source)
        # What this measurement sets comes last: another network has other weights.
        return workspace.parameters(self.preset, {**local, **self.values, "seed": self.seed, **values})

    def code(self, stages: tuple[str, ...] | None = None) -> str:
        """What `records.fingerprint` returns for its stages; where local files lie does not count."""
        parameters = workspace.parameters(self.preset, self.values | {"seed": self.seed})
        return records.fingerprint(stages or self.stages, parameters)

    def extracted(self) -> tuple[Workspace, dict[str, float]]:
        """As `workspace.extracted`, for its parameters."""
        return workspace.extracted(self.code(workspace.EXTRACTION), self.parameters())

    def missing(self) -> str | None:
        """Why it cannot be measured here; None where it can."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return "{} is not installed: pip install -r {}".format(*OPTIONAL[self.needs])
        if self.needs == "openvino" and not records.bfloat16():
            return "this processor has no instructions for bfloat16"
        try:
            self.parameters()
        except UserError as error:
            return str(error)
        return None

    def record(self) -> Record | None:
        """Its record; None where it is not measured."""
        return records.read(self.name)

    def state(self) -> str:
        """`missing`, `measured`, or `older`: measured with other code or other parameters."""
        record = self.record()
        if record is None:
            return "missing"
        return "measured" if record.code == self.code() else "older"

    def estimate(self) -> float:
        """The seconds that it takes: those of its record, if it has one."""
        record = self.record()
        return record.seconds if record else 60 * self.minutes


def planned(measurements: Iterable[Measurement], older: bool) -> list[Measurement]:
    """What is to be done: the missing ones, and with `older` those measured with other code.

    Those that share an extraction follow each other. What cannot be measured here is left out and named, by reason.
    """
    wanted = {}
    for measurement in measurements:
        if measurement.state() in ("missing", *(["older"] if older else [])):
            wanted[measurement.name] = measurement
    reasons: dict[str, list[str]] = {}
    for name, measurement in list(wanted.items()):
        if reason := measurement.missing():
            reasons.setdefault(reason, []).append(name)
            del wanted[name]
    for reason, names in reasons.items():
        print(f"left as they are: {', '.join(names)}: {reason}", flush=True)
    groups: dict[str, list[Measurement]] = {}
    for measurement in wanted.values():
        groups.setdefault(measurement.code(workspace.EXTRACTION), []).append(measurement)
    return [measurement for group in groups.values() for measurement in group]


def run(measurements: list[Measurement], done: Callable[[], None]) -> list[str]:
    """Measure one after another; `done` is called after each, when its record is written.

    Returns the names of those that failed; why stands above.
    """
    failed = []
    for number, measurement in enumerate(measurements):
        left = sum(other.estimate() for other in measurements[number:])
        end = datetime.datetime.now() + datetime.timedelta(seconds=left)
        print(
            f"[{number + 1}/{len(measurements)}] {measurement.name}: about {_minutes(measurement.estimate())}; "
            f"all that is left: about {_minutes(left)}, until {end:%H:%M}",
            flush=True,
        )
        start, code, here = time.monotonic(), measurement.code(), records.here()
        try:
            numbers = measurement.measure(measurement)
        except UserError as error:
            print(f"{measurement.name} failed: {error}", flush=True)
            failed.append(measurement.name)
            continue
        seconds = round(time.monotonic() - start, 1)
        records.write(
            Record(
                name=measurement.name,
                preset=measurement.preset,
                parameters=measurement.values,
                seed=measurement.seed,
                numbers=numbers,
                seconds=seconds,
                code=code,
                **here,
            )
        )
        print(f"{measurement.name}: done in {_minutes(seconds)}", flush=True)
        done()
    return failed


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
