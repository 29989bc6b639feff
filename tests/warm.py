"""`python -m MODULE` for the tests' projects, forked off a process that has imported TensorFlow and DVC already.

A run of the pipeline is nine processes beside DVC's own, and half of what they do is to import the same libraries.
A fork has them. Everything else is its own, as in any process: the folder, the environment, the project's modules,
the standard streams, the exit status. Another command line than `-m MODULE` is left to Python itself.
PYTHONHASHSEED counts at the start of a process alone: a fork has that of the server.

    python tests/warm.py serve SOCKET        imports the libraries, prints "ready", and forks at each request
    python tests/warm.py ask SOCKET -m ...   one request; ends as the fork does, which does not outlive it
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

LIBRARIES = ["tensorflow", "keras", "h5py", "sklearn.metrics", "matplotlib.pyplot", "pydantic", "dvclive", "dvc.cli"]
LIBRARIES += ["cleanlab.filter", "cleanlab.rank", "jinja2", "plotly.graph_objects", "plotly.offline", "scipy.stats"]
LIBRARIES += ["sklearn.linear_model", "sklearn.model_selection", "sklearn.neighbors", "sklearn.pipeline", "imagehash"]
LIBRARIES += ["dvc.repo", "dvc.repo.reproduce", "dvc.commands.repro", "dvc.commands.experiments", "dvc_data.index"]
# And what those import in the middle of their work.
LIBRARIES += ["dvc.data_cloud", "dvc.lock", "dvc.scm", "dvc.repo.metrics.show", "dvc.repo.params.show"]
LIBRARIES += ["dvc.repo.experiments.cache", "dvc.repo.experiments.serialize", "dvc.cachemgr", "dvc.rwlock"]
LIBRARIES += ["dvc.repo.stage", "flufl.lock", "zc.lockfile", "dulwich.porcelain", "platformdirs", "yaml"]
LIBRARIES += ["pydantic.main", "pydantic.functional_validators", "pydantic.plugin._schema_validator", "anyascii"]
LIBRARIES += ["matplotlib.backends.backend_agg", "pi_heif.as_plugin", "PIL.ImageDraw", "PIL.ImageFont", "PIL.ImageOps"]


def quicken() -> None:
    """Keep what Python 3.11 works out anew at each isinstance with a protocol: thousands of times for a network."""
    import functools
    import typing

    if hasattr(typing, "_get_protocol_attrs"):
        typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


def ask(address: str, arguments: list[str]) -> int:
    """Have `arguments` run, and return the exit status."""
    if arguments[:1] != ["-m"]:
        os.execv(sys.executable, [sys.executable, *arguments])
    request = json.dumps(
        {"arguments": arguments[1:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
    ).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(request).to_bytes(4)], [0, 1, 2])
        connection.sendall(request)
        status = int(connection.recv(10) or 1)
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


def serve(address: str) -> dict:
    """Answer requests until standard input ends. Returns the request in each fork, and never in the server."""
    import selectors

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


def _keep(connection: socket.socket) -> dict:
    """Fork once more, and return the request there; this process waits for that one's end and for the asker's."""
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
        return json.loads(request)
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
    module, *rest = request["arguments"]
    sys.path[:1] = filter(None, [request["folder"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    sys.argv = [module, *rest]
    _run(module)
