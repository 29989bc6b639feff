"""Errors as RFC 9457 wants them: application/problem+json, with type, title, status and detail."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
# As RFC 9110 has them, and Python from 3.13 on.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class ProblemDetails(BaseModel):
    """What is wrong with a request, by RFC 9457. Some problems have more members, such as `images`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Problem(Exception):
    """A request that cannot be answered. detail: one sentence: what it had, what is taken, what to do."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any):
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, headers, members


def title(status: int) -> str:
    """What a status is called: `Not Found`."""
    return TITLES.get(status) or HTTPStatus(status).phrase


def response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> JSONResponse:
    """Return the answer that says what is wrong. members: what more a program may want to know of it."""
    content = ProblemDetails(title=title(status), status=status, detail=detail).model_dump() | members
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def of_validation(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Return what to answer where a request has other fields than it should; what it had is not sent back.

    found: what pydantic lists.
    """
    errors = [{"where": ".".join(map(str, entry["loc"])), "what": entry["msg"]} for entry in found[:20]]
    return Problem(422, f"{errors[0]['where'] or 'the body'}: {errors[0]['what']}", errors=errors)


def handle(app: FastAPI) -> None:
    """Have an app answer all errors so."""

    async def known(_: Request, error: Problem) -> Response:
        return response(error.status, error.detail, error.headers, **error.members)

    async def of_http(request: Request, error: HTTPException) -> Response:
        path, allowed = request.url.path, (error.headers or {}).get("Allow", "other methods")
        said = {
            404: f"nothing is at {path}: GET /openapi.json lists what there is",
            405: f"{path} takes {allowed}, not {request.method}",
        }
        return response(error.status_code, said.get(error.status_code, str(error.detail)), error.headers)

    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return await known(_, of_validation(error.errors()))

    async def gone(*_: object) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    async def unknown(*_: object) -> Response:
        return response(500, "an error of the server's own: its log says more")

    app.add_exception_handler(Problem, known)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unknown)
