"""What op determinism costs: an epoch of fine-tuning with it and without, `cats_vs_dogs` on cached activations."""

from statistics import median

from benchmarks.workspace import photographs, workspace
from headstart import errors

EPOCHS = 3
SWITCH = "    tf.config.experimental.enable_op_determinism()\n"


def main() -> None:
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.epochs": EPOCHS, "fine_tune.views": 2})
        for stage in ("fetch", "split", "extract", "train_head"):
            place.stage(stage)
        runtime = place.path / "headstart/runtime.py"
        strict = runtime.read_text()
        assert SWITCH in strict
        seconds = {"with": [], "without": []}
        for _ in range(2):
            for name, code in (("with", strict), ("without", strict.replace(SWITCH, ""))):
                runtime.write_text(code)
                seconds[name] += place.epochs()
        on, off = median(seconds["with"]), median(seconds["without"])
        print(f"an epoch with op determinism {on:.1f} s, without {off:.1f} s: {on / off:.2f} times")


if __name__ == "__main__":
    errors.run(main)
