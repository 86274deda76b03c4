"""Errors of everything that is not one of the chat protocols: their form, and what OpenAPI says of them."""

from __future__ import annotations

import math
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.routing import Match

from tilores_core.errors import (
    AuthenticationError,
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    TiloresError,
    UnknownModelError,
    UnknownNameError,
    UnstorableTextError,
    UnsupportedEncodingError,
)

Responses = dict[int | str, dict[str, Any]]

_LONGEST_PROBLEM: Final = 500


class Problem(BaseModel):
    """An error. `fix` says what to do about it, `param` which field is wrong."""

    detail: str
    fix: str | None = None
    param: str | None = None


ERRORS: Final[Responses] = {
    401: {"model": Problem, "description": "No key, or a wrong one"},
    403: {"model": Problem, "description": "Not for this key, or not for a request that a proxy forwards"},
    429: {"model": Problem, "description": "Too many requests without the right key from this address"},
}
WITH_BODY: Final[Responses] = {
    400: {"model": Problem, "description": "The body is not text"},
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "A field is wrong; `detail` names it"},
}


MISSING: Final[Responses] = {
    404: {"model": Problem, "description": "There is nothing of this name; `fix` says what there is"}
}


def handle_errors(app: FastAPI) -> None:
    """Answer every error of the application in one form."""
    app.add_exception_handler(TiloresError, problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(405, _not_allowed)
    app.add_exception_handler(Exception, problem)


_STATUS = (
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (PayloadTooLargeError, 413),
    (DeploymentRefusedError, 409),
    (ConflictError, 409),
    (UnknownModelError, 422),
    (UnknownNameError, 404),
    (UnsupportedEncodingError, 415),
    (InvalidRequestError, 422),
    (RateLimitedError, 429),
    (UnstorableTextError, 422),
    (TiloresError, 503),
)


async def problem(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    message = error.message if isinstance(error, TiloresError) else "Internal Server Error"
    fix = error.fix if isinstance(error, TiloresError) else None
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(math.ceil(seconds))
    body: dict[str, str | None] = {"detail": message, "fix": fix}
    if isinstance(error, InvalidRequestError) and error.param is not None:
        body["param"] = error.param
    return JSONResponse(body, status, headers)


_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


async def _not_allowed(request: Request, error: Exception) -> JSONResponse:
    """Starlette names the methods of the path's first route alone."""
    routes = request.app.router.routes
    here = [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(here)})


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Fields and what is wrong with them; not what was sent, which cannot always be written as JSON."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    said = "; ".join(f"{'.'.join(str(step) for step in item['loc'])}: {item['msg']}" for item in problems[:5])
    # Unknown keys are named too, and JSON may smuggle in what is no character.
    said = said.encode("utf-8", "backslashreplace").decode()[:_LONGEST_PROBLEM]
    return JSONResponse(Problem(detail=said).model_dump(exclude={"param"}), 422)
