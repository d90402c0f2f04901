"""Values made from botocore's model: a shape with every member filled in."""

from typing import Any

from botocore.model import Shape

_TEXT = "a <b> & \"c\" 'd' é \U0001f600 +%=&;/ \t\n end"
_BLOB = bytes(range(256))


def sample_of(shape: Shape, name: str = "") -> Any:
    """A value with every member and two elements in each list and map; texts hold what codecs like to stumble over."""
    match shape.type_name:
        case "structure":
            return {member: sample_of(one, member) for member, one in shape.members.items()}  # type: ignore[attr-defined]
        case "list":
            return [sample_of(shape.member, f"{name}{number}") for number in (1, 2)]  # type: ignore[attr-defined]
        case "map":
            return {
                f"{name}.key-{number}": sample_of(shape.value, f"{name}{number}")  # type: ignore[attr-defined]
                for number in (1, 2)
            }
        case "string":
            return f"{name} {_TEXT}"
        case "integer":
            return 7 + len(name)
        case "long":
            return 2**53 + len(name)
        case "boolean":
            return True
        case "blob":
            return _BLOB
    raise AssertionError(shape.type_name)


def paths_of(shape: Shape, at: str = "") -> set[str]:
    """The names of all members, with those of the shapes below: ``Messages.Body``, ``Messages.MessageAttributes``."""
    match shape.type_name:
        case "structure":
            found = set()
            for member, one in shape.members.items():  # type: ignore[attr-defined]
                path = f"{at}.{member}" if at else member
                found |= {path} | paths_of(one, path)
            return found
        case "list":
            return paths_of(shape.member, at)  # type: ignore[attr-defined]
        case "map":
            return paths_of(shape.value, at)  # type: ignore[attr-defined]
    return set()


def paths_in(value: Any, shape: Shape, at: str = "") -> set[str]:
    """The members that a parsed value really has, named as ``paths_of`` does."""
    match shape.type_name:
        case "structure":
            found = set()
            for member, one in value.items():
                path = f"{at}.{member}" if at else member
                found |= {path} | paths_in(one, shape.members[member], path)  # type: ignore[attr-defined]
            return found
        case "list":
            return set().union(*(paths_in(one, shape.member, at) for one in value))  # type: ignore[attr-defined]
        case "map":
            return set().union(*(paths_in(one, shape.value, at) for one in value.values()))  # type: ignore[attr-defined]
    return set()
