"""What `python -m benchmarks.results` and `python -m benchmarks.speed` do with their tables."""

import fcntl

from benchmarks import choices, curves, headers, measuring, scores, tables, times, workspace
from benchmarks.tables import Table
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.wording import did_you_mean

RESULTS = (
    *(
        scores.HEADLINE,
        scores.TEST,
        scores.STRANGERS,
        scores.TRUST,
        scores.SUSPECTS,
        scores.CORRECTIONS,
        scores.FOREIGN,
        scores.RECALL,
        scores.PAPER,
        scores.NOISE,
        scores.ARTICLE_TABLE,
        scores.COMPARISONS,
        choices.TABLE,
    ),
    *(table for curve in curves.CURVES for table in curve.tables()),
)
SPEED = (times.FIGURES, times.STAGES, times.SCALE, times.CUTS)


def publish() -> None:
    """Write all tables, pictures and headers of presets from the records, and say what has changed."""
    for table in (*RESULTS, *SPEED):
        table.forget_imported()
    for path in [*tables.write((*RESULTS, *SPEED)), *tables.write_result(), *tables.write_exports()]:
        print(f"written: {path.relative_to(workspace.ROOT)}", flush=True)
    for curve in curves.CURVES:
        curve.draw()
    headers.write()


def listed(chosen: tuple[Table, ...]) -> str:
    """Each table with its measurements, their state and the minutes that they take; what tables share stands once."""
    lines, minutes = [], {}
    for table in chosen:
        lines.append(f"{table.name} ({table.document})")
        for name, measurement in table.measurements().items():
            if name not in minutes:
                minutes[name] = measurement.estimate() / 60
                record = measurement.record()
                state = f"{measurement.state()}{f', {record.date}' if record else ''}"
                lines.append(f"  {name:<50} {state:<22} {minutes[name]:5.1f} min")
    return "\n".join([*lines, f"in all: {sum(minutes.values()):.0f} min"])


def main(prog: str, description: str, own: tuple[Table, ...]) -> int:
    """Run what is missing in the tables `own`, and write them; returns the exit status."""
    parser = Parser(prog=prog, description=description)
    parser.add_argument("--only", metavar="TABLE", help="this table alone; what is older than the code is done again")
    parser.add_argument("--list", action="store_true", help="list tables and measurements, and run nothing")
    parser.add_argument("--write", action="store_true", help="write the tables from the records, and run nothing")
    parser.add_argument("--stale", action="store_true", help="do again what is older than the code")
    options = parser.parse_args()
    names = [table.name for table in own]
    if options.only and options.only not in names:
        hint = did_you_mean(options.only, names)
        raise UserError(f"--only: got {options.only}; {hint}takes one of {', '.join(names)}")
    chosen = tuple(table for table in own if options.only in (None, table.name))
    if options.list:
        print(listed(chosen))
        return 0
    failed = [] if options.write else _measure(chosen, options.stale or options.only is not None)
    publish()
    return 1 if failed else 0


def _measure(chosen: tuple[Table, ...], older: bool) -> list[str]:
    wanted = {name: measurement for table in chosen for name, measurement in table.measurements().items()}
    lock = workspace.ROOT / "tmp/benchmarks.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"other measurements are running, which would disturb these (lock: {lock}): wait") from None
        failed = measuring.run(measuring.planned(wanted.values(), older), publish)
    left = [name for name, measurement in wanted.items() if measurement.state() == "older"]
    if left:
        print(f"older than the code, and kept: {', '.join(left)} (--stale does them again)", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return failed
