"""The fields of a query string or of a form: bounded, and read by name. Pure."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

FIELDS_MAX = 2_000
"""A form that acts on a page of chosen messages has one field for each."""

FORM = "application/x-www-form-urlencoded"


class FieldsError(ValueError):
    """The text is no form, or one with too many fields."""


class Fields:
    """Values by name; a name may have several."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @classmethod
    def parse(cls, text: str | bytes) -> "Fields":
        """Reads ``a=1&b=2``. Raises FieldsError."""
        try:
            decoded = text.decode() if isinstance(text, bytes) else text
            return cls(parse_qsl(decoded, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"))
        except ValueError:
            raise FieldsError(f"not a form, or one with more than {FIELDS_MAX} fields") from None

    def text(self, name: str, default: str = "") -> str:
        """The first value, without white space around it."""
        return self.raw(name, default).strip()

    def raw(self, name: str, default: str = "") -> str:
        """The first value as it came. A browser sends line breaks as CR LF: they are LF again."""
        values = self._values.get(name)
        return values[0].replace("\r\n", "\n") if values else default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within its limits; what is none, or beyond them, becomes the default or the limit."""
        text = self.text(name)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            return default
        return min(max(int(text), low), high)

    def all(self, name: str) -> Sequence[str]:
        return self._values.get(name, ())

    def flag(self, name: str) -> bool:
        """Was the box ticked?"""
        return self.text(name) not in ("", "0", "false", "off")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def lists(self) -> Mapping[str, Sequence[str]]:
        """All values of each name."""
        return self._values

    def flat(self) -> Mapping[str, str]:
        """The first value of each name."""
        return {name: values[0] for name, values in self._values.items()}
