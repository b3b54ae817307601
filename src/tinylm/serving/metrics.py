"""What a server counts, in the format of Prometheus, and the layer around the application that counts it.

Where `PROMETHEUS_MULTIPROC_DIR` names a folder, every worker writes its counts there and shows the sum of all.
"""

import logging
import os
import time
from collections.abc import Collection, Sequence

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tinylm.serving.messages import PredictionMessage

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_NATS = (1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_log = logging.getLogger(__name__)


class Metrics:
    """The counts of one server."""

    def __init__(self) -> None:
        self._registry = here = CollectorRegistry()
        self.requests = Counter(
            "tinylm_requests",
            "Requests, by path and status; 499 is a client that went away",
            ["path", "status"],
            registry=here,
        )
        self.failures = Counter(
            "tinylm_failures", "Requests that met a fault of the server; its log has each", registry=here
        )
        self.seconds = Histogram(
            "tinylm_request_seconds",
            "Time from a request's headers to the end of its response",
            ["path"],
            buckets=_SECONDS,
            registry=here,
        )
        self.texts = Counter("tinylm_texts", "Texts that were answered", registry=here)
        self.tokens = Counter("tinylm_tokens", "Tokens that were read", registry=here)
        self.disagreement = Histogram(
            "tinylm_disagreement_nats", "Disagreement of the members on a text", buckets=_NATS, registry=here
        )
        self.batch = Histogram("tinylm_batch_texts", "Texts that were answered together", buckets=_TEXTS, registry=here)

    def count(self, given: Sequence[PredictionMessage]) -> None:
        """Count answers that are about to be sent."""
        self.texts.inc(len(given))
        self.tokens.inc(sum(prediction.tokens for prediction in given))
        for prediction in given:
            self.disagreement.observe(prediction.disagreement)

    def page(self) -> bytes:
        """All counts as text."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


class Watched:
    """The layer around the application: counts requests, turns a fault into a 500, closes connections when draining.

    Args:
        app: what is inside.
        metrics: where to count.
        paths: those that are counted by name, templates included; all else is counted as "other".
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["app"].state.draining:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            self._metrics.failures.inc()
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if status:
                raise
            detail = "The server failed on this request; its log says why."
            await JSONResponse({"detail": detail}, 500)(scope, receive, note)
        finally:
            # A path with parameters is counted as its template, which the router leaves in the scope.
            path = getattr(scope.get("route"), "path", scope["path"])
            path = path if path in self._paths else "other"
            self._metrics.requests.labels(path, str(status or 499)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
