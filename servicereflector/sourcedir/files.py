"""One file of the source directory: a source, and how it is reflected.

The file is a kubeconfig; or one line that is a URL, beside empty lines and those that begin with
``#``; or a YAML mapping of :data:`MEMBERS`, with one of ``url`` and ``kubeconfig``::

    kubeconfig: /etc/clusters/east   # relative to the directory of the file
    selector: app=shop               # in place of --reflector.selector
    stale-after: 30s                 # in place of --reflector.stale-after
    remove-after: 10m                # in place of --reflector.remove-after
    max-services: 500                # and of --reflector.max-services,
    max-slices: 2000                 # --reflector.max-slices
    max-source-bytes: 64Mi           # and --reflector.max-source-bytes

Each of :mod:`.admission`'s members says of this source what its flag says of one by its name::

    allow-cidr: [10.1.0.0/16]        # beside --reflector.allow-cidr
    map-cidr: 10.1.0.0/16=100.64.0.0/16
    deny-ports: 22,6443
    external-names: false
    namespaces: [shop, web-*]
    deny-namespaces: internal

Beside a ``url`` there may be what else it needs, files relative to the same directory::

    url: https://10.1.2.3:6443
    fingerprint: sha256:5f…          # or ca-file, and server-name
    token-file: .east-token          # or client-certificate and client-key

The source has the file's name, without one of :data:`ENDINGS`. A file whose name begins with a dot
is no source: a kubeconfig that a mapping names, beside it, has to be called so, or is a second one.

What is wrong with a file is one line that names it and quotes nothing of it: who takes the file
of a token for a source does not want to find the token in a log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..client.connection import ConfigError, parse_url
from ..client.urloptions import NAMES, NOTHING, UrlOptions, parse_options
from ..flags import silence
from ..kube.selectors import SelectorError, parse_labels
from ..mirror.admission import EVERYTHING, Admission
from ..program import HOST
from .admission import MEMBERS as ADMISSION
from .admission import read_admission
from .documents import mapping_of, text_of, unquoted
from .inputs import Inputs
from .kubeconfigs import check_server
from .quotas import MEMBERS as QUOTAS
from .quotas import read_quotas

#: With what a file's name may end that is no part of its source's name.
ENDINGS = (".yaml", ".yml", ".json", ".kubeconfig", ".conf", ".url", ".txt")

#: What a mapping may have.
MEMBERS = (
    *("url", "kubeconfig", "selector", "stale-after", "remove-after"),
    *QUOTAS,
    *ADMISSION,
    *NAMES,
)

#: The keys of a Secret or ConfigMap; what editors leave behind has other characters.
_NAME = re.compile(r"[-._a-zA-Z0-9]+")

_BEGINS_A_URL = re.compile(r"[a-zA-Z][-+.a-zA-Z0-9]*://")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a file says of its source.

    :ivar url: of the API server, without credentials.
    :ivar kubeconfig: its path; None where the file has just a URL.
    :ivar selector: None for the one of all sources.
    :ivar stale_after: seconds; None: as the flags say.
    :ivar remove_after: the same.
    :ivar digest: another one with every change of the file, of the kubeconfig that it names, and
        of the files that either names: certificates, keys and tokens are replaced in place.
    :ivar options: what the URL needs beside.
    :ivar admission: what it may have mirrored, beside what the flags say.
    :ivar quotas: fields of its Quotas that are not as the flags say.
    """

    name: str
    url: str
    kubeconfig: str | None
    selector: str | None
    stale_after: float | None
    remove_after: float | None
    digest: str
    options: UrlOptions = NOTHING
    admission: Admission = EVERYTHING
    quotas: tuple[tuple[str, int], ...] = ()


def source_name(file: str) -> str:
    """The name of the source whose file is called that.

    :raises ConfigError: without the file's name.
    """
    name = next((file.removesuffix(e) for e in ENDINGS if file.endswith(e)), file)
    if not _NAME.fullmatch(name):
        raise ConfigError("the name of a source has only letters, digits, '-', '.' and '_'")
    if name == HOST:
        raise ConfigError(f"a source is called {name!r}, as only the host is")
    return name


def read_source(path: Path, inputs: Inputs | None = None) -> SourceFile:
    """What the file says, checked. Blocks; reads the files that it names, and runs nothing.

    :param inputs: notes what was read.
    :raises ConfigError: one line that names the file and quotes nothing of it.
    """
    path = path.absolute()
    try:
        return _read(path, inputs or Inputs())
    except ConfigError as error:
        what = str(error)
    except OSError as error:
        what = str(error.strerror)
    except Exception as error:
        # Its type only: the messages of others may quote what they were given.
        what = f"cannot be used ({type(error).__name__})"
    raise ConfigError(f"{printable(str(path))}: {what}")


def printable(name: str) -> str:
    """For messages: the name of a file can have any characters."""
    return name if name.isprintable() else ascii(name)


def _read(path: Path, inputs: Inputs) -> SourceFile:
    name = source_name(path.name)
    options = _options(text_of(inputs.read(str(path))))
    if _is_kubeconfig(options):
        options = {"kubeconfig": path.name}
    elif not options.keys() <= set(MEMBERS):
        raise ConfigError(f"has a member that is none of {', '.join(MEMBERS)}")
    url, kubeconfig = _string(options, "url"), _string(options, "kubeconfig")
    if bool(url) == bool(kubeconfig):
        raise ConfigError("needs either url or kubeconfig")
    if kubeconfig:
        kubeconfig = os.path.join(path.parent, kubeconfig)
        url = check_server(kubeconfig, inputs)
    else:
        url = _url(url)
    urls = _url_options(options, url, path.parent, inputs)
    return SourceFile(
        name,
        url,
        kubeconfig or None,
        _selector(options),
        _seconds(options, "stale-after"),
        _seconds(options, "remove-after"),
        inputs.digest(),
        urls,
        read_admission(options),
        read_quotas(options),
    )


def _options(text: str) -> Mapping[Any, Any]:
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not line.startswith("#")]
    if not told:
        raise ConfigError("empty")
    if len(told) == 1 and _BEGINS_A_URL.match(told[0]):
        return {"url": told[0]}
    return mapping_of(text, "neither a URL, nor a kubeconfig, nor a mapping with url or kubeconfig")


def _is_kubeconfig(document: Mapping[Any, Any]) -> bool:
    return document.get("kind") == "Config" or not document.keys().isdisjoint(
        ("clusters", "contexts")
    )


def _string(options: Mapping[Any, Any], key: str) -> str:
    value = options.get(key)
    if not isinstance(value, str | None):
        raise ConfigError(f"{key} is not a string")
    return value or ""


def _url(text: str) -> str:
    try:
        return parse_url(text)
    except ConfigError as error:
        raise ConfigError(f"url: {unquoted(error)}") from None


def _url_options(
    options: Mapping[Any, Any], url: str, directory: Path, inputs: Inputs
) -> UrlOptions:
    told = {name: value for name in NAMES if (value := _string(options, name))}
    if told and not options.get("url"):
        raise ConfigError(f"{next(iter(told))} goes with url: a kubeconfig says it itself")
    found = parse_options(told, url, str(directory))
    found.connection(url, inputs.read)
    return found


def _selector(options: Mapping[Any, Any]) -> str | None:
    if options.get("selector") is None:
        return None
    try:
        return str(parse_labels(_string(options, "selector")))
    except SelectorError:
        raise ConfigError("selector is no label selector") from None


def _seconds(options: Mapping[Any, Any], key: str) -> float | None:
    value = options.get(key)
    if value is None:
        return None
    try:
        # YAML takes 0 for a number.
        return silence(str(value) if isinstance(value, str | int) else "")
    except ValueError as error:
        raise ConfigError(f"{key}: {unquoted(error)}") from None
