"""Values that have the right type and make no sense: each is refused with what is wrong and what to write instead.

Pure: whether a file exists is for ``Settings.notes``, because the configuration is often checked on another machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, urlsplit

_FRAMING = {"host", "content-length", "content-type", "transfer-encoding", "connection"}
_NO_DISK = ("/proc", "/sys", "/dev")
_PARAMETER = re.compile(r"^[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}$")


def history_path(path: str) -> str:
    """A path that can be a file's."""
    if re.search(r"[\x00-\x1f]", path):
        raise ValueError("a path has no control characters")
    if path.startswith(":"):
        raise ValueError("name a file: what is kept in memory only is lost with the process")
    if path.endswith("/") or PurePosixPath(path).name in ("", ".."):
        raise ValueError("this names a directory; name a file, for example /var/lib/concertmaster/history.db")
    if any(PurePosixPath(path).is_relative_to(place) for place in _NO_DISK):
        raise ValueError(f"nothing can be kept below {' or '.join(_NO_DISK)}; name a file on a disk")
    return path


def database_url(url: str, instead: str) -> str:
    """The address of a PostgreSQL database without a password; ``instead``: where that comes from."""
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("write postgresql://host:port/database") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/") or not port_is_number:
        raise ValueError("write postgresql://host:port/database")
    given = {name for name, _ in parse_qsl(parts.query)}
    if parts.password is not None or {"password", "passfile"} & given:
        raise ValueError(f"a password must not stand here: use {instead}")
    if "sslpassword" in given:
        raise ValueError("sslpassword must not stand here: use a key without a password, readable by the operator only")
    return url


def address(text: str) -> str:
    """An address to bind; names could mean several."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("write an IP address: :: (all), 0.0.0.0 (all of IPv4) or 127.0.0.1 (inside the pod)") from None
    return text


def between(seconds: float, least: float, most: float, words: str) -> None:
    """A duration within bounds; ``words`` say which."""
    if not least <= seconds <= most:
        raise ValueError(words)


def unique(names: Iterable[str]) -> None:
    """No name twice."""
    values = list(names)
    twice = sorted({name for name in values if values.count(name) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once: names must be unique")


def header_names(names: Iterable[str]) -> None:
    """Headers the client does not set itself, each once."""
    lower = [name.lower() for name in names]
    if framing := _FRAMING & set(lower):
        raise ValueError(f"{', '.join(sorted(framing))} cannot be set: the client sets it for every request")
    unique(lower)


def header_value(value: str) -> None:
    """One line of printable ASCII."""
    if not re.fullmatch(r"[\x20-\x7e]*", value):
        raise ValueError("a header value is one line of printable ASCII text")


def parameters(values: Mapping[str, str]) -> None:
    """Names that can stand in a query string, and none the operator sets itself."""
    if {"query", "time", "start", "end", "step", "limit", "timeout"} & values.keys():
        raise ValueError("queryParams cannot set query, time, start, end, step, limit or timeout: the operator does")
    if not all(_PARAMETER.match(name) for name in values):
        raise ValueError("queryParams: names are letters, digits and _ . - [ ], not beginning with a digit")


def matchers(values: Mapping[str, str]) -> None:
    """Label values that select something of one cluster."""
    if "namespace" in values or "__name__" in values:
        raise ValueError("extraMatchers cannot fix namespace or __name__: the operator sets both itself")
    if empty := [name for name, value in values.items() if not value]:
        raise ValueError(f"extraMatchers.{empty[0]} is empty, which means series without that label; write its value")


def label_names(family: str, renamed: Mapping[str, str], known: Sequence[str]) -> None:
    """Names for labels that are read, each another one."""
    if unknown := sorted(set(renamed) - set(known)):
        raise ValueError(f"labels.{family}.{unknown[0]} is read by no query; known are {', '.join(known)}")
    names = [renamed.get(label, label) for label in known]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"labels.{family} gives two labels the name {twice[0]}")
