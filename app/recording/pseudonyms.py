"""Stable stand-ins for names: the same name gives the same one within a run, and none leads back."""

from __future__ import annotations

import hmac
import secrets
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

from gpumon.collectors.http.endpoint import is_loopback_host

TOKEN_LENGTH = 8
LATEST = ":latest"
BLOB_PREFIX = "sha256-"
GPU_PREFIXES = ("GPU-", "MIG-")


class Pseudonyms:
    """Keyed with random bytes that are never stored: without them a guess cannot be checked."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self.known: dict[str, str] = {}
        """What has been replaced, by what."""

    def of(self, kind: str, name: str) -> str:
        """Return ``kind-1a2b3c4d`` for a name; an empty one stays."""
        return self._note(name, f"{kind}-{self._hex(name, TOKEN_LENGTH)}") if name else name

    def of_model(self, name: str) -> str:
        """Return the stand-in of a model; with and without ``:latest`` it is the same one."""
        tag = LATEST if name.endswith(LATEST) else ""
        return self.of("model", name.removesuffix(LATEST)) + tag

    def of_digest(self, digest: str) -> str:
        """Return as many hexadecimal digits; ``sha256-`` stays before them."""
        prefix = BLOB_PREFIX if digest.startswith(BLOB_PREFIX) else ""
        digits = digest.removeprefix(prefix)
        return self._note(digest, prefix + self._hex(digits, len(digits)))

    def of_gpu(self, uuid: str) -> str:
        """Return a UUID of the same shape."""
        prefix = next((prefix for prefix in GPU_PREFIXES if uuid.startswith(prefix)), "GPU-")
        digits = self._hex(uuid, 32)
        groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        return self._note(uuid, prefix + "-".join(groups))

    def of_path(self, path: str) -> str:
        """Return a path of as many parts, each with its stand-in; blobs and the ending stay what they are."""
        parts = [self._part(part) for part in path.split("/")]
        return self._note(path, "/".join(parts))

    def of_host(self, host: str) -> str:
        """Return the stand-in of a host; this machine's loopback says nothing and stays."""
        return host if is_loopback_host(host) else self.of("host", host)

    def of_url(self, url: str) -> str:
        """Return the URL with its host and its path replaced; scheme and port stay."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return self.of("url", url)
        if not parts.hostname:
            return self.of("url", url)
        return self._note(url, self._joined(parts, parts.hostname, port))

    def _joined(self, parts: SplitResult, host: str, port: int | None) -> str:
        shown = self.of_host(host)
        authority = f"[{shown}]" if ":" in shown else shown
        number = "" if port is None else f":{port}"
        return f"{parts.scheme}://{authority}{number}{self.of_path(parts.path)}"

    def _part(self, part: str) -> str:
        if not part or part in {".", ".."}:
            return part
        if part.startswith(BLOB_PREFIX):
            return self.of_digest(part)
        return self.of("p", part) + (".gguf" if PurePosixPath(part).suffix == ".gguf" else "")

    def _note(self, name: str, stand_in: str) -> str:
        if name != stand_in:
            self.known[name] = stand_in
        return stand_in

    def _hex(self, name: str, length: int) -> str:
        raw = name.encode("utf-8", "replace")
        digits = "".join(
            hmac.digest(self._key, b"%d " % block + raw, "sha256").hex() for block in range(length // 64 + 1)
        )
        return digits[:length]
