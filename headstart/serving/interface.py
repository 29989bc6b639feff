"""What is sent and answered, as OpenAPI describes it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from headstart.serving.limits import MOST_FILES
from headstart.serving.problems import MEDIA_TYPE, ProblemDetails

NAME = 1000  # letters
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGM4YaMBAAL8AS3/gzpXAAAAAElFTkSuQmCC"


class Sent(BaseModel):
    """An image in a JSON."""

    name: str = Field("", description="what the answer calls it; default: image 1, image 2, …", max_length=NAME)
    base64: str = Field(description="the image file")


class SentImages(BaseModel):
    """Images in a JSON."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"images": [{"name": "red.png", "base64": PIXEL}]}]})

    images: list[Sent] = Field(min_length=1, max_length=MOST_FILES)


class Near(BaseModel):
    """A training image that is like the one that was sent."""

    path: str
    label: str = Field(alias="class")
    picture: str = Field(description="its address, data:image/webp;base64,…; empty where it cannot be read any more")


class Entry(BaseModel):
    """What is said of an image: its class, or `error`."""

    name: str
    error: str | None = Field(None, description="why it cannot be read; then nothing else is there but the name")
    label: str | None = Field(None, alias="class")
    probability: float | None = Field(None, description="of the class")
    possible: list[str] | None = Field(
        None, description="the classes that remain possible, the likeliest first: several where it is not sure"
    )
    unlike: bool | None = Field(None, description="unlike the training images; null where the classifier cannot tell")
    probabilities: dict[str, float] | None = None
    doubt: str | None = Field(None, description="where its values are others than those of the training images")
    preview: str | None = Field(None, description="with explain: the image upright and small")
    heat: list[list[float]] | None = Field(
        None, description="with explain: what speaks for the likeliest class, from 0 to 1, by rows over the whole image"
    )
    nearest: list[Near] | None = Field(None, description="with explain, in the project: the nearest training images")


class Predictions(BaseModel):
    """What is said of the images of a request, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "images": [
                        {
                            "name": "photo.jpg",
                            "class": "cat",
                            "probability": 0.981203,
                            "possible": ["cat"],
                            "unlike": False,
                            "probabilities": {"cat": 0.981203, "dog": 0.018797},
                        },
                        {"name": "notes.txt", "error": "not an image by its first bytes"},
                    ]
                }
            ]
        }
    )

    images: list[Entry]


class Model(BaseModel):
    """The classifier."""

    name: str
    sha256: str = Field(description="of models/classifier.keras, which it is, or was exported from")
    commit: str | None = Field(description="of the project, where it runs in one")
    classes: list[str]
    size: int = Field(description="pixels: images are brought to a square of this side")
    resizing: str = Field(description="how: stretch, crop (the largest square in the middle), or pad (with grey)")
    unsure: bool = Field(description="whether it may leave several classes possible")
    unlike: bool = Field(description="whether it tells images that are unlike its training images")
    metrics: dict[str, Any] | None = Field(description="of the delivered model, on test images; null where not known")
    corrections: bool = Field(description="whether POST /corrections writes them")
    limits: dict[str, int]


class Status(BaseModel):
    """How the server is."""

    status: str


class Saved(BaseModel):
    """A correction that was written."""

    path: str = Field(description="of the image, as data/corrections.csv names it")
    said: str


# The body of POST /predict, which is read piece by piece, so that FastAPI does not describe it.
IMAGES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {"schema": SentImages.model_json_schema()},
        },
    }
}
CORRECTION = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "label"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "label": {"type": "string", "description": "the class that it is of"},
                        "by": {"type": "string", "description": "who says so"},
                        "why": {"type": "string"},
                    },
                }
            }
        },
    }
}
_REASONS = {
    400: "The body is not what its type says",
    401: "No token, or another one",
    403: "Sent by a page of another site",
    408: "The request did not arrive in time",
    409: "data/corrections.csv cannot be read",
    413: "Too many bytes or files",
    415: "Another type of body",
    422: "No image in it can be read, or a field is wrong",
    503: "No room, or too little memory: Retry-After says when to try again",
    504: "No answer in time",
    507: "The correction cannot be written",
}


def errors(*statuses: int) -> dict[int, dict[str, Any]]:
    """The problems that a path answers, as FastAPI takes them."""
    schema = {"schema": ProblemDetails.model_json_schema()}
    return {status: {"description": _REASONS[status], "content": {MEDIA_TYPE: schema}} for status in statuses}
