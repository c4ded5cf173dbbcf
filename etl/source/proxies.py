"""Which proxy a request goes through, as the environment says.

The variables are curl's (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), read as Python's urllib and
requests read them: in capitals too, where those in small letters are not set; HTTP_PROXY not in a CGI
program, where a client could set it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import unquote
from urllib.request import getproxies_environment

from etl.errors import ConfigurationError
from etl.redaction import usable

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy, and who we are to it."""

    url: str
    """Without user and password."""
    credentials: str | None
    """User and password, with a colon between them."""


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL, if its requests are to go through one.

    Raises:
        ConfigurationError: what the environment names is no http(s) URL.
    """
    parts = usable(url)
    proxies = getproxies_environment()
    if parts is None:
        return None
    scheme, host = parts["scheme"].lower(), parts["host"].strip("[]").lower()
    named = next((name for name in (scheme, "all") if proxies.get(name)), None)
    if named is None or _bypasses(host, int(parts["port"] or _PORTS[scheme]), proxies.get("no", "")):
        return None
    text = proxies[named].strip()
    proxy = usable(text if "://" in text else f"http://{text}")
    good = proxy is not None and proxy["scheme"].lower() in _PORTS and proxy["host"]
    if proxy is None or not good or (proxy["path"] or "/") != "/" or proxy["query"] or proxy["fragment"]:
        example = "http://proxy.example:3128"
        raise ConfigurationError(f"{named}_proxy is not set to an http(s) URL, such as {example}")
    port = f":{proxy['port']}" if proxy["port"] else ""
    user = proxy["user"]
    return Proxy(f"{proxy['scheme'].lower()}://{proxy['host']}{port}", unquote(user[:-1]) if user else None)


def _bypasses(host: str, port: int, entries: str) -> bool:
    """Say whether a list of hosts, domains and networks (`*`: all) has a host."""
    for entry in filter(None, re.split(r"[\s,]+", entries.lower())):
        name, colon, number = entry.rpartition(":")
        if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
            if int(number) != port:
                continue
        else:
            name = entry
        name = name.strip("[]").removeprefix("*").lstrip(".")
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        with suppress(ValueError):
            if ip_address(host) in ip_network(name, strict=False):
                return True
    return False
