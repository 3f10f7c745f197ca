"""Secrets kept out of what is printed."""

from __future__ import annotations

import re

MASK = "********"
"""Stands for a secret: a header's value, a password in a URL."""

_CREDENTIALS = re.compile(r"^(\w+://)?.*@")


def without_password(url: str) -> str:
    """Return a URL or host with all that stands before its last ``@`` masked."""
    return _CREDENTIALS.sub(rf"\1{MASK}@", url, count=1)
