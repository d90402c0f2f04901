"""Pages of a long list. Pure."""

import msgspec


class Paging(msgspec.Struct):
    """``page`` counts from 1; ``first`` is the index of its first row; ``pages`` is at least 1."""

    found: int
    page: int
    pages: int
    first: int

    @classmethod
    def of(cls, found: int, page: int, rows: int) -> "Paging":
        """A page beyond the last is the last."""
        pages = max(1, -(-found // rows))
        page = min(max(1, page), pages)
        return cls(found, page, pages, (page - 1) * rows)
