"""`python -m MODULE` for the tests' projects, forked off a process that has imported TensorFlow and DVC already.

A run of the pipeline is nine processes beside DVC's own, and half of what they do is to import the same libraries.
A fork has them. Everything else is its own, as in any process: the folder, the environment, the project's modules,
the standard streams, the exit status. Another command line than `-m MODULE` is left to Python itself.
PYTHONHASHSEED counts at the start of a process alone: a fork has that of the server.

    python tests/warm.py serve SOCKET        imports the libraries, prints "ready", and forks at each request
    python tests/warm.py ask SOCKET -m ...   one request; ends as the fork does, which does not outlive it
"""

import os
import sys  # no more up here: who asks is a Python of its own each time, and loads nothing else but _socket

LIBRARIES = ["tensorflow", "keras", "h5py", "sklearn.metrics", "matplotlib.pyplot", "pydantic", "dvclive", "dvc.cli"]
LIBRARIES += ["cleanlab.filter", "cleanlab.rank", "jinja2", "plotly.graph_objects", "plotly.offline", "scipy.stats"]
LIBRARIES += ["sklearn.linear_model", "sklearn.model_selection", "sklearn.neighbors", "sklearn.pipeline", "imagehash"]
LIBRARIES += ["dvc.repo", "dvc.repo.reproduce", "dvc.commands.repro", "dvc.commands.experiments", "dvc_data.index"]
# And what those import in the middle of their work. Not pygit2: it looks once for all where HOME is.
LIBRARIES += ["dvc.data_cloud", "dvc.lock", "dvc.scm", "dvc.repo.metrics.show", "dvc.repo.params.show"]
LIBRARIES += ["dvc.repo.experiments.cache", "dvc.repo.experiments.serialize", "dvc.cachemgr", "dvc.rwlock"]
LIBRARIES += ["dvc.repo.stage", "flufl.lock", "zc.lockfile", "dulwich.porcelain", "platformdirs", "yaml"]
LIBRARIES += ["pydantic.main", "pydantic.functional_validators", "pydantic.plugin._schema_validator", "anyascii"]
LIBRARIES += ["matplotlib.backends.backend_agg", "pi_heif.as_plugin", "PIL.ImageDraw", "PIL.ImageFont", "PIL.ImageOps"]
LIBRARIES += ["dvc._debug", "dvc.analytics", "dvc.cli.parser", "dvc.compare", "dvc.api", "dvc.repo.artifacts"]
LIBRARIES += ["dvc.repo.brancher", "dvc.repo.datasets", "dvc.repo.graph", "dvc.repo.index", "dvc.repo.plots"]
LIBRARIES += ["dvc.repo.experiments.executor.local", "dvc.repo.experiments.queue.celery", "dvc.repo.experiments.show"]
LIBRARIES += ["dvc.repo.open_repo", "dvc.utils.plots", "dvc.utils.strictyaml", "dvc_data.fs", "dvc_data.index.checkout"]
LIBRARIES += ["dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "dvc_task.worker", "celery.concurrency.thread"]
LIBRARIES += ["celery.fixups.django", "celery.worker.worker", "kombu.transport.filesystem", "dulwich.gc"]
LIBRARIES += ["dulwich.line_ending", "dulwich.worktree", "fsspec.implementations.memory", "networkx", "cffi"]
LIBRARIES += ["pydantic.types", "pydantic.plugin._loader", "annotated_types"]
LIBRARIES += ["plotly.graph_objs._bar", "plotly.graph_objs._figure", "plotly.graph_objs._heatmap", "plotly.io"]
LIBRARIES += ["plotly.colors", "plotly.graph_objs._scatter", "dvc.dirs", "dvc.repo.trie", "dvc_data.hashfile._progress"]
LIBRARIES += ["encodings.ascii", "encodings.cp437", "encodings.utf_8_sig", "rich._emoji_codes", "scipy.fftpack"]
LIBRARIES += ["tensorflow.python.data.ops.range_op", "tensorflow.python.data.ops.zip_op", "pydantic.fields"]
LIBRARIES += ["celery.app.amqp", "celery.app.control", "celery.canvas", "celery.loaders.app", "dvc.render.convert"]
LIBRARIES += ["dvc.render.match", "dvc.repo.experiments.run", "dvc.utils.hydra", "dvc_task.proc.manager", "scmrepo.fs"]
LIBRARIES += ["plotly.graph_objs.layout", "plotly.graph_objs.scatter", "ruamel.yaml.mergevalue"]


def quicken() -> None:
    """Keep what Python 3.11 works out anew at each isinstance with a protocol: thousands of times for a network.

    And what DVC reads: it parses params.yaml seventy times in a run of the pipeline, which is half of its own work.
    """
    import copy
    import functools
    import typing

    import dvc.utils.strictyaml
    from dvc.utils import serialize

    if hasattr(typing, "_get_protocol_attrs"):
        typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)
    parse, kept = serialize.parse_yaml, {}

    def once(text: str, path: str, typ: str = "safe") -> dict:
        if typ != "safe":  # with its comments, to be written again
            return parse(text, path, typ)
        if text not in kept:
            kept[text] = parse(text, path)
        return copy.deepcopy(kept[text])

    for module in (serialize, serialize._yaml, dvc.utils.strictyaml):
        module.parse_yaml = once


def ask(address: str, arguments: list[str]) -> int:
    """Have `arguments` run, and return the exit status."""
    if arguments and arguments[0].endswith("/dvc/__main__.py"):  # as DVC itself starts the workers of its queue
        arguments = ["-m", "dvc", *arguments[1:]]
    if arguments[:1] != ["-m"]:
        os.execv(sys.executable, [sys.executable, *arguments])
    import _socket

    values = [os.getcwd(), str(len(arguments) - 1), *arguments[1:]]  # noqa: PTH109
    values += [f"{name}={value}" for name, value in os.environ.items()]
    request = os.fsencode("\0".join(values))
    connection = _socket.socket(_socket.AF_UNIX)
    connection.connect(address)
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    connection.sendmsg([len(request).to_bytes(4)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    connection.sendall(request)
    status = int(connection.recv(10) or 1)
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


def serve(address: str) -> dict:
    """Answer requests until standard input ends. Returns the request in each fork, and never in the server."""
    import selectors
    import socket

    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        server.bind(address)
        server.listen(64)
        selector.register(server, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            ready = [key.fileobj for key, _ in selector.select(timeout=1)]
            while _reaped():
                pass
            if 0 in ready:
                os._exit(0)
            if server in ready:
                connection, _ = server.accept()
                if os.fork() == 0:
                    return _keep(connection)
                connection.close()


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _keep(connection) -> dict:
    """Fork once more, and return the request there; this process waits for that one's end and for the asker's."""
    import signal
    import socket
    import threading

    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    left, request = int.from_bytes(head), b""
    while len(request) < left:
        request += connection.recv(left - len(request))
    child = os.fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        folder, count, *values = os.fsdecode(request).split("\0")
        environment = dict(value.split("=", 1) for value in values[int(count) :])
        return {"folder": folder, "arguments": values[: int(count)], "environment": environment}
    for number in (0, 1, 2, *streams):
        os.close(number)

    def outlived() -> None:
        if not connection.recv(1):
            os.kill(child, signal.SIGKILL)

    threading.Thread(target=outlived, daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(status).encode())
    os._exit(0)


def _run(module: str) -> None:
    """Run `module` as the main one. Where it ends by itself, the process ends with it, without taking Python down.

    To take apart all that is imported is a quarter of a second, and the most of a short command. What counts at the end
    of a process is done: threads are waited for, exit functions called, streams written out.
    """
    import atexit
    import runpy
    import threading

    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # a stream that is broken or closed: Python's own end says so
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        sys.exit(ask(sys.argv[2], sys.argv[3:]))
    import gc
    import importlib
    from pathlib import Path

    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    for library in LIBRARIES:
        importlib.import_module(library)
    importlib.import_module("PIL.Image").init()
    quicken()
    gc.freeze()  # a collection in a fork would copy the pages of all that it looks at
    request = serve(sys.argv[2])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.executable = str(Path(sys.argv[2]).with_name("python"))  # what it starts in its turn starts warm as well
    module, *rest = request["arguments"]
    sys.path[:1] = filter(None, [request["folder"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    sys.argv = [module, *rest]
    _run(module)
