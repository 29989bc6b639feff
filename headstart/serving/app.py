"""The paths of the server."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.security import HTTPBearer
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from headstart.base.errors import UserError
from headstart.images.decoding import Broken
from headstart.serving import interface, problems
from headstart.serving.counts import CONTENT_TYPE
from headstart.serving.guard import Access, Guard
from headstart.serving.interface import NAME, Model, Predictions, Saved, SentImages, Status
from headstart.serving.limits import Limits
from headstart.serving.problems import Problem
from headstart.serving.project import Project
from headstart.serving.service import File, Service

HERE = Path(__file__).parent
# The page and what it loads.
PAGE = {
    "/": (HERE / "serve.html", "text/html"),
    "/serve.js": (HERE / "serve.js", "text/javascript"),
    "/serve.css": (HERE / "serve.css", "text/css"),
    "/page.css": (HERE.parent / "page" / "page.css", "text/css"),
}


# Of a JSON: what makes a value in it. No base64 has any, a name may.
MARKS = (b",", b":", b"[", b"{")


class _Parser(MultiPartParser):
    spool_max_size = 2**40  # bytes: files stay in memory, which the guard counts, and leave nothing on the disk
    is_whole = False

    def on_end(self) -> None:
        """The boundary that ends the body was there."""
        self.is_whole = True


def build(model: Model, service: Service, limits: Limits, access: Access, project: Project | None = None) -> ASGIApp:
    """Return the server as an ASGI app. project: where corrections are written; None: nowhere."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service:
            yield

    app = FastAPI(
        title="Headstart",
        summary=f"Tells {', '.join(model.classes[:20])} apart",
        version=model.sha256[:12],
        lifespan=lifespan,
        docs_url=None,  # these would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # /predict/ is nothing
    )
    problems.handle(app)
    for path, (file, kind) in PAGE.items():
        app.add_api_route(path, _constant(file.read_bytes(), kind), include_in_schema=False)
    app.include_router(_state(service))
    bearer = HTTPBearer(auto_error=False, description="HEADSTART_TOKEN of the server")
    guarded = APIRouter(dependencies=[Depends(bearer)] if access.token else [])
    _add(guarded, model, service, limits)
    if project is not None:
        _add_corrections(guarded, service, limits, project)
    app.include_router(guarded)
    return Guard(app, access, limits, service.counts.answered)


def _constant(content: bytes, kind: str) -> Any:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _state(service: Service) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/healthz")
    async def healthz() -> Status:
        """Whether the server runs."""
        return Status(status="ok")

    @router.get("/readyz", responses=interface.errors(503))
    async def readyz() -> Status:
        """Whether requests should be sent to it: its network answers, and its queue has room."""
        if (reason := service.unready()) is not None:
            raise Problem(503, reason, {"Retry-After": "1"})
        return Status(status="ready")

    return router


def _add(router: APIRouter, model: Model, service: Service, limits: Limits) -> None:
    @router.post(
        "/predict",
        response_model=Predictions,
        response_model_exclude_unset=True,
        openapi_extra=interface.IMAGES,
        responses=interface.errors(400, 401, 403, 408, 413, 415, 422, 503, 504),
    )
    async def predict(request: Request, explain: Annotated[bool, Query(description=EXPLAIN)] = False) -> Response:
        """Classify images: files in a form (`curl -F images=@photo.jpg`), or a JSON with base64 in it.

        An image that cannot be read has an `error` in its place, and the others are classified all the same.
        """
        kind = _kind(request)
        if kind == "application/json":
            files = await _files_of_json(await request.body(), service, limits)
        elif kind == "multipart/form-data":
            files = _files_of_form(await _form(request, limits))
        else:
            form = "multipart/form-data (curl -F images=@photo.jpg)"
            raise Problem(415, f"got {kind or 'no type'}; takes {form} or application/json")
        return JSONResponse({"images": await service.of(files, explain)})

    @router.get("/model", responses=interface.errors(401))
    async def about() -> Model:
        """What the classifier is, and what the server takes."""
        return model

    @router.get("/metrics", response_class=Response, responses=interface.errors(401))
    async def metrics() -> Response:
        """Numbers for Prometheus: requests, their seconds, the queue, batches, images, and errors by kind."""
        return Response(service.counts.text(), headers={"content-type": CONTENT_TYPE})


EXPLAIN = "add preview, heat and nearest"


def _add_corrections(router: APIRouter, service: Service, limits: Limits, project: Project) -> None:
    @router.post(
        "/corrections",
        response_model=Saved,
        status_code=201,
        openapi_extra=interface.CORRECTION,
        responses=interface.errors(400, 401, 403, 408, 409, 413, 415, 422, 503, 504, 507),
    )
    async def correct(request: Request) -> Response:
        """Say which class an image is of: written into the project's data/corrections.csv, with the image."""
        if (kind := _kind(request)) != "multipart/form-data":
            raise Problem(415, f"got {kind or 'no type'}; takes multipart/form-data")
        form = await _form(request, limits)
        image, texts = form.get("image"), {name: form.get(name, "") for name in ("label", "by", "why")}
        others = form.keys() - texts.keys() - {"image"}
        if not isinstance(image, UploadFile) or not all(isinstance(text, str) for text in texts.values()) or others:
            raise Problem(422, "takes the file `image` and the texts `label`, `by` and `why`")
        if twice := [name for name in form if len(form.getlist(name)) > 1]:
            raise Problem(422, f"{twice[0]}: got {len(form.getlist(twice[0]))} of them; takes one: send each by itself")
        if texts["label"] not in project.classes:
            raise Problem(422, f"label: got {texts['label'] or 'nothing'}; takes {', '.join(project.classes)}")
        try:
            content = image.file.read()
            path, said = await service.apart(partial(project.correct, content, **texts, most=limits.pixels))
        except Broken as error:
            raise Problem(422, f"{image.filename}: {error}") from None
        except UserError as error:
            raise Problem(409, f"{error}; the image is kept all the same") from None
        except OSError as error:
            raise Problem(507, f"not saved: {error.strerror}") from None
        service.counts.corrections.inc()
        return JSONResponse({"path": path, "said": said}, 201)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _form(request: Request, limits: Limits) -> FormData:
    parser = _Parser(request.headers, request.stream(), max_files=limits.files, max_fields=20, max_part_size=2**16)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise _too_many(f"more than {limits.files}", limits) from None
        raise Problem(400, f"no multipart/form-data: {error.message}") from None
    if not parser.is_whole:
        raise Problem(400, "no multipart/form-data: it ends before its last boundary: send it again")
    return form


def _files_of_form(form: FormData) -> list[File]:
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not files:
        raise Problem(422, "no file in it: curl -F images=@photo.jpg sends one (with the @)")
    if texts := [name for name, part in form.multi_items() if not isinstance(part, UploadFile)]:
        what = "got a text; takes files alone: curl -F images=@photo.jpg sends one (with the @)"
        raise Problem(422, f"{texts[0]}: {what}")
    return [File(file.filename or f"image {number}", file.file.read) for number, file in enumerate(files, 1)]


async def _files_of_json(body: bytes, service: Service, limits: Limits) -> list[File]:
    try:
        images = (await service.apart(_sent, body, limits)).images
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        if any(entry["type"] == "too_long" for entry in found):
            raise _too_many(f"more than {limits.files}", limits) from None
        raise problems.of_validation(found) from None
    if len(images) > limits.files:
        raise _too_many(str(len(images)), limits)
    return [File(image.name or f"image {at}", partial(_decoded, image.base64)) for at, image in enumerate(images, 1)]


def _sent(body: bytes, limits: Limits) -> SentImages:
    """What a JSON says; one of millions of values, which take seconds and gigabytes to look through, is refused."""
    most = 20_000 + limits.files * (NAME + 100)
    if (values := sum(map(body.count, MARKS))) > most:
        raise Problem(
            413,
            f"got a JSON with {values:,} commas, colons and brackets, more than the {most:,} that are taken: send "
            f"base64 of up to {limits.files} images, and their names",
        )
    return SentImages.model_validate_json(body)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Broken(
            "not base64: takes the file in A-Z, a-z, 0-9, + and /, without line ends and without data:…, in front"
        ) from None


def _too_many(count: str, limits: Limits) -> Problem:
    return Problem(413, f"got {count} files; a request may have {limits.files}: send the others in another one")
