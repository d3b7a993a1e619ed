"""The files of OHIF over HTTP: at the root, as it wants them, with our configuration and our extension."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gateway.config.http import OidcSettings
from gateway.config.viewer import ViewerSettings
from gateway.web.viewer.bundle import ViewerMissing

EXTENSION = "/sealgate/extension.js"
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
# The hash in the name changes with the content.
_HASHED = re.compile(r"\.[0-9a-f]{16}\.js$|^[0-9a-f]{16}\.[a-z0-9]+$")
# OHIF's worker keeps the application in the browser, where an older one would live on after an update.
_NO_WORKER = "init-service-worker.js"


class ViewerSite:
    """The routes of the viewer, except for DICOMweb. Nobody needs a token for them: there is no patient data."""

    def __init__(
        self, folder: Path, settings: Callable[[], ViewerSettings], oidc: Callable[[], OidcSettings | None]
    ) -> None:
        """folder: as `bundle.fetch` left it.

        settings, oidc: those in force now.
        Raises ViewerMissing.
        """
        if not (folder / "index.html").is_file():
            raise ViewerMissing(f"OHIF is not in {folder.name}")
        self._settings, self._oidc = settings, oidc
        # What may be asked for is known; a path of a request is never joined to a folder.
        self._files = {
            file.relative_to(folder).as_posix(): file
            for file in folder.rglob("*")
            if file.is_file() and file.suffix != ".gz"
        }

    def routes(self) -> list[Route]:
        """To be put last: they answer every path, as the pages of OHIF are paths of its own."""
        return [
            Route("/app-config.js", self._config),
            Route(EXTENSION, self._extension),
            Route("/{path:path}", self._file),
        ]

    def headers(self) -> dict[str, str]:
        oidc = self._oidc()
        origin = f" {oidc.issuer}" if oidc is not None and self._settings().oidc_client_id else ""
        policy = (
            "default-src 'self'; "
            # OHIF has scripts in its page, and WebAssembly.
            "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            "worker-src 'self' blob:; img-src 'self' data: blob:; font-src 'self' data:; "
            f"connect-src 'self' data: blob:{origin}; "
            "object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'self'"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            # Addresses of pages have UIDs.
            "Referrer-Policy": "no-referrer",
        }

    async def _config(self, _request: Request) -> Response:
        settings, oidc = self._settings(), self._oidc()
        text = f"window.config = {json.dumps(ohif_configuration(settings, oidc), indent=1)};\n"
        return self._fresh(text)

    async def _extension(self, _request: Request) -> Response:
        return self._fresh((resources.files("gateway.web.viewer") / "extension.js").read_text())

    def _fresh(self, script: str) -> Response:
        headers = {**self.headers(), "Cache-Control": "no-cache"}
        return Response(script, media_type="text/javascript", headers=headers)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["path"]
        if name == _NO_WORKER:
            return self._fresh("")
        file = self._files.get(name)
        if file is None and PurePosixPath(name).suffix in MEDIA_TYPES:
            return Response("no such file\n", 404, headers=self.headers(), media_type="text/plain")
        if file is None:
            name, file = "index.html", self._files["index.html"]
        keep = "public, max-age=31536000, immutable" if _HASHED.search(name) else "no-cache"
        headers = {**self.headers(), "Cache-Control": keep}
        packed = file.with_name(file.name + ".gz")
        if "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            file = packed
        media_type = MEDIA_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        return FileResponse(file, headers=headers, media_type=media_type)


def ohif_configuration(settings: ViewerSettings, oidc: OidcSettings | None) -> Mapping[str, object]:
    """What OHIF reads as `window.config`: our DICOMweb at the same address, and nothing else."""
    configuration: dict[str, object] = {
        "routerBasename": None,
        "extensions": [EXTENSION],
        "modes": [],
        "showStudyList": True,
        # Without isolation headers there is no shared memory.
        "useSharedArrayBuffer": "FALSE",
        "maxNumberOfWebWorkers": 3,
        "showErrorDetails": "production",
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "sealgate",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "sealgate",
                "configuration": {
                    "friendlyName": "Verified studies",
                    "name": "sealgate",
                    "qidoRoot": "/dicom-web",
                    "wadoRoot": "/dicom-web",
                    "qidoSupportsIncludeField": True,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "thumbnail",
                    "thumbnailRequestStrategy": "fetch",
                    "enableStudyLazyLoad": True,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "singlepart": "bulkdata,video",
                    "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
                    "omitQuotationForMultipartRequest": True,
                },
            }
        ],
    }
    if oidc is not None and settings.oidc_client_id is not None:
        configuration["oidc"] = [
            {
                "authority": oidc.issuer,
                "client_id": settings.oidc_client_id,
                "redirect_uri": "/callback",
                "post_logout_redirect_uri": "/logout-redirect.html",
                "response_type": "code",
                "scope": "openid profile email",
                "automaticSilentRenew": True,
                "revokeAccessTokenOnSignout": True,
            }
        ]
    return configuration
