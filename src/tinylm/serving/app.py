"""The application: what each path does with a request."""

import asyncio
import importlib.metadata
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response, Security
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException as RefusedError
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tinylm.serving import pages
from tinylm.serving.access import Bearer
from tinylm.serving.batching import Batcher, QueueFullError
from tinylm.serving.limits import Limits, flag_of
from tinylm.serving.messages import (
    ExplainedAnswer,
    Health,
    ManyAnswers,
    OneAnswer,
    OneText,
    Problem,
    predictions,
    read,
    request_schema,
    words,
)
from tinylm.serving.metrics import Metrics, Watched

if TYPE_CHECKING:
    from tinylm.runtime.classifier import Classifier

_T = TypeVar("_T")

_CLIENT_CLOSED = 499
_DISCARD_SECONDS = 2.0
_REASONS = {
    400: "The body is not JSON in UTF-8.",
    401: "The token is missing or wrong.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    422: "The body is not what the server takes, or more than it takes at once.",
    503: "Too much is waiting, or the server is stopping.",
}


def create_app(
    classifier: "Classifier", limits: Limits, token: str | None = None, *, routers: Sequence[APIRouter] = ()
) -> FastAPI:
    """The application that serves a classifier.

    Args:
        classifier: predicts; called from one thread of its own.
        limits: what is accepted from clients.
        token: what clients of `/predict`, `/metrics` and the routers must send as bearer token; None accepts all.
        routers: further endpoints. They need the token, are counted in the metrics by their path, and are listed on
            `/docs`, as `/predict` is. In an endpoint `await request.app.state.batcher.answer(texts)` gives the
            predictions of a list of texts, computed in one batch with those of other requests. A path of the server's
            own cannot be replaced.

    Returns:
        An application whose `state.draining` is to be set before it stops: it then still responds, with the header
        `Connection: close`, and `/readyz` gives 503.
    """
    metrics = Metrics()
    guard: dict[str, Any] = {"dependencies": [Security(Bearer(token))]} if token else {}
    guarded = (401,) if token else ()

    @asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        app.state.batcher = Batcher(
            classifier, batch=limits.batch, max_waiting=limits.max_waiting, on_batch=metrics.batch.observe
        )
        yield
        await app.state.batcher.close()

    app = FastAPI(
        title="tinylm",
        version=importlib.metadata.version("tinylm"),
        description=_description(classifier),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=working,
    )
    app.state.draining = False
    app.add_exception_handler(RefusedError, _refuse)
    app.add_exception_handler(QueueFullError, _refuse_full_queue)
    app.add_exception_handler(ClientDisconnect, _client_closed)

    @app.post(
        "/predict",
        summary="Label texts",
        description="One text, or many: exactly one of text and texts. One text can also be explained.",
        response_model=ExplainedAnswer | OneAnswer | ManyAnswers,
        responses=_documented(400, *guarded, 408, 413, 422, 503),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": request_schema(limits)}}}
        },
        **guard,
    )
    async def predict(request: Request) -> Response:
        return await _predict(request, limits, metrics)

    @app.get("/healthz", summary="Whether the process lives", response_model=Health)
    async def healthz() -> Response:
        return _json(Health(status="alive"))

    @app.get("/readyz", summary="Whether to send requests here", response_model=Health, responses=_documented(503))
    async def readyz() -> Response:
        if app.state.draining:
            raise HTTPException(503, "The server is stopping; use another one.")
        return _json(Health(status="ready"))

    @app.get(
        "/metrics",
        summary="Counts for Prometheus",
        response_class=PlainTextResponse,
        responses=_documented(*guarded, beside_text=True),
        **guard,
    )
    async def measured() -> Response:
        return Response(metrics.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(pages.page(), headers=pages.page_headers())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(pages.reference(app.openapi()), headers=pages.reference_headers())

    for router in routers:
        app.include_router(router, responses=_documented(*guarded), **guard)
    known = [*app.routes, *(route for router in routers for route in router.routes)]
    app.add_middleware(Watched, metrics=metrics, paths={route.path for route in known if isinstance(route, Route)})
    return app


def _description(classifier: "Classifier") -> str:
    shown = ", ".join(classifier.labels[:8])
    more = ", ..." if len(classifier.labels) > 8 else ""
    return f"{len(classifier)} member(s) vote on {len(classifier.labels)} label(s): {shown}{more}."


def _documented(*statuses: int, beside_text: bool = False) -> dict[int | str, dict[str, Any]]:
    """Refusals for the OpenAPI description; `beside_text` where what is not refused is no JSON."""
    # FastAPI takes a model for what the path answers otherwise, here text, unless its content is spelled out.
    json = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    shape: dict[str, Any] = {"content": json} if beside_text else {"model": Problem}
    return {status: {**shape, "description": _REASONS[status]} for status in statuses}


async def _predict(request: Request, limits: Limits, metrics: Metrics) -> Response:
    body = await _body(request, limits)
    start = time.perf_counter()
    requested = read(body, limits)
    batcher: Batcher = request.app.state.batcher
    explained: dict[str, Any] = {}
    if isinstance(requested, OneText) and requested.explain:
        explanation = await _while_connected(request, batcher.explain(requested.text))
        answers = explanation.predictions
        explained = {"words": words(explanation), "special": explanation.special}
    else:
        texts = [requested.text] if isinstance(requested, OneText) else requested.texts
        if not texts:
            return _json(ManyAnswers(predictions=[], milliseconds=_since(start)))
        answers = await _while_connected(request, batcher.answer(texts))
    given = predictions(answers)
    metrics.count(given)
    if not isinstance(requested, OneText):
        return _json(ManyAnswers(predictions=given, milliseconds=_since(start)))
    shape = ExplainedAnswer if explained else OneAnswer
    answer = {name: getattr(given[0], name) for name in given[0].model_fields_set}
    return _json(shape(**answer, **explained, milliseconds=_since(start)))


def _since(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 3)


def _json(message: BaseModel) -> Response:
    # What is not set is of the other problem: one label a text, or several.
    return Response(message.model_dump_json(exclude_unset=True), media_type="application/json")


async def _body(request: Request, limits: Limits) -> bytes:
    too_large = HTTPException(
        413,
        f"The body has more than {limits.max_body} bytes; "
        f"send less at once, or start the server with a larger {flag_of('max_body')}.",
    )
    if int(request.headers.get("content-length", 0)) > limits.max_body:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(
            408,
            f"The body did not arrive within {limits.timeout:g} seconds; "
            f"send it faster or in parts, or start the server with a larger {flag_of('timeout')}.",
        ) from error
    return bytes(body)


async def _while_connected(request: Request, result: asyncio.Future[_T]) -> _T:
    """Wait for a result, and cancel it when the client disconnects.

    Raises:
        ClientDisconnect: it did.
    """
    # The body has been read, so that nothing but the end of the connection is left to be received.
    gone = asyncio.ensure_future(request.receive())
    gone.add_done_callback(lambda _: result.cancel())
    try:
        return await result
    except asyncio.CancelledError as error:
        if gone.done():
            raise ClientDisconnect from error
        raise
    finally:
        gone.cancel()


async def _refuse(request: Request, error: Exception) -> Response:
    """Turn a refusal into a sentence."""
    assert isinstance(error, RefusedError)
    detail = error.detail
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path[:80]}; /docs lists what there is."
    elif error.status_code == 405:
        detail = f"{request.method} is not for this path; /docs lists what there is."
    kind = _RefusalWhileSending if error.status_code in (408, 413) else JSONResponse
    return kind({"detail": detail}, error.status_code, headers=error.headers)


async def _refuse_full_queue(_: Request, error: Exception) -> Response:
    detail = (
        f"{error} texts wait already; try again in a second, or start the server with more --workers "
        f"or a larger {flag_of('max_waiting')}."
    )
    return JSONResponse({"detail": detail}, 503, headers={"Retry-After": "1"})


async def _client_closed(_: Request, __: Exception) -> Response:
    """A status for the metrics; the client is gone."""
    return Response(status_code=_CLIENT_CLOSED)


class _RefusalWhileSending(JSONResponse):
    """A refusal to a client that is still sending.

    It is sent at once, and what arrives after it is discarded for up to `_DISCARD_SECONDS`: closing a socket with
    unread bytes resets the connection, and the client could lose the response.
    """

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body"})
