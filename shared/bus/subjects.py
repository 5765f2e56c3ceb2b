"""Subjects are built by one function, so that no text from outside can add a token or a wildcard to one."""

_FORBIDDEN = frozenset(" \t\r\n\f*>")


def build_subject(*tokens: str) -> str:
    """Return the subject of the tokens, joined by dots.

    Raises ValueError when a token is empty, holds white space, a wildcard or a control character, or when a dot stands
    at its edge (dots within a token stay tokens, as in ``ext.<source>.<dotted.type>``).
    """
    for token in tokens:
        if not token or token[0] == "." or token[-1] == "." or ".." in token:
            raise ValueError(f"{token!r} is no subject token")
        if any(letter in _FORBIDDEN or ord(letter) < 0x20 for letter in token):  # noqa: PLR2004  (below the space)
            raise ValueError(f"{token!r} holds a character that no subject may have")
    return ".".join(tokens)
