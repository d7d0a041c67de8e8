"""The page and its few addresses. Nothing here is for other sites: no CORS, one Host, no inline script."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fragmodel.errors import UserError
from fragmodel.prediction.formats import choose_format, render
from fragmodel.serving.asked import Limits, read_asked
from fragmodel.serving.drawing import drawn
from fragmodel.serving.jobs import Job, Jobs

_MEDIA = {
    "gff3": "text/x-gff3",
    "bed": "text/plain",
    "tsv": "text/tab-separated-values",
    "jsonl": "application/x-ndjson",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def make_app(jobs: Jobs, about: Mapping[str, Any], limits: Limits, hosts: Sequence[str]) -> Starlette:
    """The application; ``about`` is what the page says of the model, ``hosts`` the names that it answers to."""
    package, report = files("fragmodel.serving"), files("fragmodel.report")

    async def page(_: Request) -> Response:
        return FileResponse(str(package / "page/index.html"))

    async def report_style(_: Request) -> Response:
        return FileResponse(str(report / "templates/style.css"))

    async def model(_: Request) -> Response:
        return JSONResponse({**about, "limits": {**limits._asdict(), "bytes": limits.bytes}})

    async def ask(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":  # what a form of another site can send
            raise HTTPException(415, "the request is no JSON")
        job = jobs.add(*read_asked(await request.body(), limits))
        return JSONResponse({"id": job.id}, status_code=201)

    async def state(request: Request) -> Response:
        job = _job(jobs, request)
        after = request.query_params.get("after", "")
        first = int(after) if after.isdecimal() and len(after) < 9 else 0
        finished = zip(job.proteins[first:], job.rows[first:], strict=False)
        return JSONResponse(
            {
                "state": job.state,
                "ahead": jobs.ahead(job),
                "answered": job.answered,
                "questions": job.questions,
                "error": job.error,
                "proteins": [
                    drawn(row, protein.sequence, job.task.questions(jobs.model, protein))
                    for protein, row in finished
                ],
            }
        )

    async def cancel(request: Request) -> Response:
        jobs.cancel(_job(jobs, request))
        return Response(status_code=204)

    async def download(request: Request) -> Response:
        job, name = _job(jobs, request), request.path_params["format"]
        if job.state != "done":
            raise HTTPException(409, "the results are not whole")
        text = "".join(render(job.rows, _format(name, job), job.task.in_words))
        attachment = {"Content-Disposition": f'attachment; filename="fragmodel.{name}"'}
        return Response(text.encode(), media_type=_MEDIA[name], headers=attachment)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/report.css", report_style),
            Mount("/page", StaticFiles(directory=str(package / "page"))),
            Route("/model", model),
            Route("/jobs", ask, methods=["POST"], max_body_size=limits.bytes),
            Route("/jobs/{id}", state),
            Route("/jobs/{id}", cancel, methods=["DELETE"]),
            Route("/jobs/{id}/results.{format}", download),
        ],
        middleware=[
            Middleware(_Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
        exception_handlers={UserError: _mistake, HTTPException: _refused},
    )


class _Headers:
    """Puts the headers on every response, those of refused requests included."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


def _job(jobs: Jobs, request: Request) -> Job:
    if (job := jobs.get(request.path_params["id"])) is None:
        raise HTTPException(404, "these results are no longer kept; ask again")
    return job


def _format(name: str, job: Job) -> str:
    return choose_format(Path(f"results.{name}"), name, job.task.in_words)


async def _mistake(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = (
        "the text is too long; ask in parts, or run fragmodel predict"
        if error.status_code == 413
        else error.detail
    )
    return JSONResponse({"error": text}, status_code=error.status_code)
