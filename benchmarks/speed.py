"""`python -m benchmarks.speed`: the measurements that docs/speed.md and docs/scale.md report, and their tables."""

from benchmarks import command
from headstart.base import errors

if __name__ == "__main__":
    errors.run(lambda: command.main("python -m benchmarks.speed", __doc__, command.SPEED))
