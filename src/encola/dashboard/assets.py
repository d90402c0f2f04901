"""The static files of the pages: read once, compressed once, kept by browsers for ever under their version."""

import gzip
import hashlib
from importlib.resources import files

import msgspec

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(msgspec.Struct, frozen=True):
    """One file: as it is, and compressed."""

    kind: str
    plain: bytes
    packed: bytes


class Assets:
    """All files of ``static``. ``version`` changes with any of them."""

    def __init__(self) -> None:
        digest = hashlib.sha256()
        self._assets: dict[str, Asset] = {}
        for entry in sorted(files("encola.dashboard").joinpath("static").iterdir(), key=lambda one: one.name):
            kind = TYPES.get("." + entry.name.rpartition(".")[2])
            if kind is None:
                continue
            plain = entry.read_bytes()
            digest.update(entry.name.encode() + plain)
            self._assets[entry.name] = Asset(kind, plain, gzip.compress(plain, 9, mtime=0))
        self.version = digest.hexdigest()[:12]

    def find(self, name: str) -> Asset | None:
        return self._assets.get(name)

    @property
    def packed_bytes(self) -> int:
        """What a browser loads that has nothing yet."""
        return sum(len(asset.packed) for asset in self._assets.values())
