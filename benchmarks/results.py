"""`python -m benchmarks.results`: the runs that docs/results.md and README.md report, and their tables."""

from benchmarks import command
from headstart.base import errors

if __name__ == "__main__":
    errors.run(lambda: command.main("python -m benchmarks.results", __doc__, command.RESULTS))
