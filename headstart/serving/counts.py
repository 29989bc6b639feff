"""What the server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from headstart.serving import problems

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4  # of what `generate_latest` writes
disable_created_metrics()  # a time for each number, which nobody draws
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
PATHS = ("/", "/predict", "/corrections", "/model", "/metrics", "/healthz", "/readyz", "/openapi.json")


class Counts:
    """The metrics of one server. waiting: tells how many images are under way."""

    def __init__(self, waiting: Callable[[], int]):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "headstart_requests", "Requests, answered", ("method", "path", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "headstart_request_seconds",
            "From a request's first byte to its answer",
            ("path",),
            buckets=SECONDS,
            registry=self.registry,
        )
        queue = Gauge("headstart_queue_images", "Images under way, of all requests", registry=self.registry)
        queue.set_function(waiting)
        self.batch = Histogram("headstart_batch_images", "Images in a batch", buckets=BATCHES, registry=self.registry)
        self.images = Counter("headstart_images", "Images, classified", registry=self.registry)
        self.corrections = Counter("headstart_corrections", "Corrections, written", registry=self.registry)
        self.errors = Counter("headstart_errors", "Of requests and of images", ("kind",), registry=self.registry)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request. A path that does not exist counts as `other`, so that nobody can make up new ones."""
        path = path if path in PATHS else "other"
        method = method if method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(path).observe(seconds)
        if status >= 400:
            self.errors.labels(problems.title(status).lower().replace(" ", "_")).inc()

    def text(self) -> bytes:
        """Return what Prometheus reads."""
        return generate_latest(self.registry)
