"""The source directory: its files, scans of it as Kubernetes mounts it, and the Service."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_twisted
import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent

from servicereflector.client.config import load_kubeconfig
from servicereflector.client.connection import ConfigError
from servicereflector.client.urloptions import FILES, NAMES
from servicereflector.mirror.addresses import AddressRules, read_rewrite
from servicereflector.mirror.admission import Admission
from servicereflector.mirror.networks import read_network
from servicereflector.sourcedir import (
    ENDINGS,
    INTERVAL,
    Scan,
    SourceDirectory,
    SourceFile,
    check,
    read_source,
    scan,
)
from servicereflector.sourcedir import inputs as inputs_module
from servicereflector.sourcedir.files import MEMBERS
from servicereflector.sourcedir.scanner import MAX_ENTRIES, Scanner
from servicereflector.testing.certificates import Authority

URL = "https://api.example:6443"
MARK = "s3cr3t-tOken"


def kubeconfig(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "west", "user": "me"}}],
        "clusters": [{"name": "west", "cluster": {"server": URL, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
    }


class Mount:
    """A Secret as the kubelet mounts it: AtomicWriter in kubernetes/pkg/volume/util."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = count(1)
        path.mkdir()

    def write(self, **files: str) -> None:
        """Replace all files in one step."""
        name = f"..2026_01_01_00_00_00.{next(self._numbers)}"
        directory = self.path / name
        directory.mkdir()
        for file, content in files.items():
            (directory / file).write_text(content)
        data, new = self.path / "..data", self.path / "..data_tmp"
        before = data.resolve() if data.is_symlink() else None
        new.symlink_to(name)
        new.rename(data)
        for file in files:
            if not (self.path / file).is_symlink():
                (self.path / file).symlink_to(Path("..data", file))
        if before is not None:
            for old in before.iterdir():
                if old.name not in files:
                    (self.path / old.name).unlink()
                old.unlink()
            before.rmdir()


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "sources")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "ca")


def written(path: Path, content: object) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refusal(path: Path) -> str:
    """Why a file is refused: one line that begins with the file's path."""
    with pytest.raises(ConfigError) as raised:
        read_source(path)
    message = str(raised.value)
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def outcome(path: Path) -> SourceFile | str:
    """What a file says, or why it is refused."""
    try:
        return read_source(path)
    except ConfigError as error:
        return str(error).removeprefix(f"{path}: ")


# One file


@pytest.mark.parametrize(
    "content",
    [
        URL,
        f"{URL}/\n",
        f"\n# of the east\n\n  {URL}  \r\n# end\n",
        f"\ufeff{URL}\r\n",
        f"url: {URL}\n",
        f"# of the east\nurl: {URL}/\nselector:\n",
        json.dumps({"url": URL}),
    ],
)
def test_a_url_is_a_source(tmp_path: Path, content: str) -> None:
    """Alone, or as a member; the flags say the rest."""
    found = read_source(written(tmp_path / "east", content))
    assert found == SourceFile("east", URL, None, None, None, None, found.digest)


@pytest.mark.parametrize(
    "content",
    [
        yaml.safe_dump(kubeconfig()),
        json.dumps(kubeconfig()),
        json.dumps(kubeconfig(), indent=2),
        "\ufeff" + yaml.safe_dump(kubeconfig()),
        yaml.safe_dump({k: v for k, v in kubeconfig().items() if k != "kind"}),
    ],
)
def test_a_kubeconfig_is_a_source(tmp_path: Path, content: str) -> None:
    """It is to be loaded from where it is."""
    path = written(tmp_path / "east", content)
    found = read_source(path)
    assert found == SourceFile("east", URL, str(path), None, None, None, found.digest)
    assert load_kubeconfig(found.kubeconfig or "").url == URL


def test_a_mapping_says_how_its_source_is_reflected(tmp_path: Path) -> None:
    """Selector and durations in place of the flags'."""
    written(tmp_path / ".kubeconfig", kubeconfig())
    options = {
        "kubeconfig": ".kubeconfig",
        "selector": " app = shop,tier in (a, b)",
        "stale-after": "1m30s",
        "remove-after": 0,
    }
    found = read_source(written(tmp_path / "east", options))
    path = str(tmp_path / ".kubeconfig")
    assert found == SourceFile("east", URL, path, "app=shop,tier in (a,b)", 90.0, 0.0, found.digest)


def test_a_mapping_says_how_much_is_taken_of_its_source(tmp_path: Path) -> None:
    """0 is no limit; what is not said is as the flags say."""
    options = {"url": URL, "max-services": 0, "max-source-bytes": "64Mi"}
    found = read_source(written(tmp_path / "east", options))
    assert found.quotas == (("services", 0), ("size", 64 * 2**20))
    for value in (True, -1, "s3cr3t", [1]):
        path = written(tmp_path / "west", {"url": URL, "max-slices": value})
        with pytest.raises(ConfigError, match="max-slices: … is no number") as raised:
            read_source(path)
        assert "s3cr3t" not in str(raised.value)


def test_an_empty_selector_is_not_that_of_all_sources(tmp_path: Path) -> None:
    """It asks this source for everything."""
    path = written(tmp_path / "east", {"url": URL, "selector": "", "stale-after": "0"})
    assert read_source(path).selector == ""
    assert read_source(path).stale_after == 0.0


def test_a_path_that_is_absolute_is_taken_as_it_is(tmp_path: Path) -> None:
    """Such as that of another volume."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    written(elsewhere / "config", kubeconfig())
    path = written(tmp_path / "east", {"kubeconfig": str(elsewhere / "config")})
    assert read_source(path).kubeconfig == str(elsewhere / "config")


def test_the_path_of_a_kubeconfig_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read later, and often."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "east", kubeconfig())
    assert read_source(Path("east")).kubeconfig == str(tmp_path / "east")


@pytest.mark.parametrize("ending", ["", *ENDINGS])
def test_an_ending_is_no_part_of_the_name(tmp_path: Path, ending: str) -> None:
    """Only the last, and only of the list."""
    assert read_source(written(tmp_path / f"east.eu{ending}", URL)).name == "east.eu"
    assert read_source(written(tmp_path / f"east.url.bak{ending}", URL)).name == "east.url.bak"


@pytest.mark.parametrize("file", ["east~", "east one", "#east#", "öst", "a=b", "a:b"])
def test_a_name_that_no_secret_has_is_refused(tmp_path: Path, file: str) -> None:
    """Such as that of an editor's backup."""
    assert refusal(written(tmp_path / file, URL)).startswith("the name of a source has only")


def test_no_source_is_called_as_the_host_is(tmp_path: Path) -> None:
    """In logs and metrics they could not be told apart."""
    assert "as only the host is" in refusal(written(tmp_path / "host.url", URL))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("# nothing\n\n", "empty"),
        (b"https://h\xff", "not UTF-8"),
        ("ftp://s3cr3t", "url: not of the form http[s]://host[:port][/path]: …"),
        ("https://a b 's3cr3t'", "url: not of the form http[s]://host[:port][/path]: …"),
        ("https://me:s3cr3t@h", "url: a URL with a user name or password in it is not taken"),
        ("https://h?t=s3cr3t", "url: a URL with a query or a fragment is not taken"),
        (
            "s3cr3t",
            "neither a URL, nor a kubeconfig, nor a mapping with url or kubeconfig",
        ),
        (
            f"{URL}\n{URL}",
            "neither a URL, nor a kubeconfig, nor a mapping with url or kubeconfig",
        ),
        ("[s3cr3t]", "neither a URL, nor a kubeconfig, nor a mapping with url or kubeconfig"),
        ("url: s3cr3t\n\tselector: s3cr3t", "not YAML (line 2)"),
        ("a: 2026-02-31", "not YAML"),
        ("a: !!int ''", "not YAML"),
        ("a: \x01", "not YAML"),
        ("[" * 10_000, "not YAML"),
        (
            {"url": URL, "s3cr3t": 1},
            f"has a member that is none of {', '.join(MEMBERS)}",
        ),
        (
            {"url": URL, 5: 1},
            f"has a member that is none of {', '.join(MEMBERS)}",
        ),
        ("{}", "needs either url or kubeconfig"),
        ({"selector": "a=b"}, "needs either url or kubeconfig"),
        ({"url": URL, "kubeconfig": "config"}, "needs either url or kubeconfig"),
        ({"url": 5}, "url is not a string"),
        ({"url": "s3cr3t"}, "url: not of the form http[s]://host[:port][/path]: …"),
        ({"kubeconfig": ["s3cr3t"]}, "kubeconfig is not a string"),
        ({"kubeconfig": "s3cr3t"}, "kubeconfig: No such file or directory"),
        ({"kubeconfig": "s3cr3t\0"}, "kubeconfig: no name of a file"),
        ({"kubeconfig": "."}, "kubeconfig: not a regular file"),
        (
            {"kubeconfig": "s3cr3t:b"},
            "kubeconfig: its path has a ':', which stands between two",
        ),
        ({"kubeconfig": "self"}, "kubeconfig: no current-context"),
        ({"url": URL, "selector": "a=b,"}, "selector is no label selector"),
        ({"url": URL, "selector": "s3cr3t 's3cr3t'"}, "selector is no label selector"),
        ({"url": URL, "selector": True}, "selector is not a string"),
        (
            {"url": URL, "stale-after": "s3cr3t's"},
            "stale-after: … is no duration: say a duration such as 30s or 5m",
        ),
        (
            {"url": URL, "remove-after": 30},
            "remove-after: … is no duration: say a duration such as 30s or 5m",
        ),
        (
            {"url": URL, "remove-after": 1.5},
            "remove-after: … is no duration: say a duration such as 30s or 5m",
        ),
        (
            {"url": URL, "remove-after": False},
            "remove-after: … is no duration: say a duration such as 30s or 5m",
        ),
        (
            {"url": URL, "allow-cidr": "10.1.0.0/16,s3cr3t"},
            "allow-cidr: … is no network: say a CIDR such as 10.1.0.0/16",
        ),
        (
            {"url": URL, "map-cidr": ["s3cr3t"]},
            "map-cidr: … is not of the form FROM=TO, as 10.1.0.0/16=100.64.0.0/16 is",
        ),
        (
            {"url": URL, "deny-ports": "22,s3cr3t"},
            "deny-ports: … is no port: say a number from 1 to 65535, or two as 1-1023",
        ),
        (
            {"url": URL, "external-names": "s3cr3t"},
            "external-names: … is no boolean: say true or false",
        ),
        (
            {"url": URL, "external-names": [True, False]},
            "external-names is neither true nor false",
        ),
        (
            {"url": URL, "namespaces": "s 3cr3t"},
            "namespaces: … is no pattern: say letters, digits and -._/ with *, ? and [a-z] or"
            " [!a-z]",
        ),
        (
            {"url": URL, "deny-namespaces": {"s3cr3t": 1}},
            "deny-namespaces is neither a text nor a list of texts",
        ),
        (
            {"url": URL, "allow-cidr": [["s3cr3t"]]},
            "allow-cidr is neither a text nor a list of texts",
        ),
        ({"kind": "Config"}, "kubeconfig: no current-context"),
        ({"clusters": []}, "kubeconfig: no current-context"),
        ({"contexts": []}, "kubeconfig: no current-context"),
        ({**kubeconfig(), "clusters": "s3cr3t"}, "kubeconfig: clusters is not a list"),
        (
            {**kubeconfig(), "current-context": "s3cr3t"},
            "kubeconfig: current-context … is not among its contexts",
        ),
        (
            kubeconfig(cluster={"server": 'it\'s "s3cr3t"'}),
            "kubeconfig: cluster …: server: not of the form http[s]://host[:port][/path]: …",
        ),
        (
            kubeconfig(cluster={"certificate-authority": "s3cr3t"}),
            "kubeconfig: cluster …: certificate-authority …: No such file or directory",
        ),
        (
            kubeconfig({"tokenFile": "s3cr3t\ns3cr3t"}),
            "kubeconfig: user …: tokenFile …: No such file or directory",
        ),
        (
            kubeconfig({"tokenFile": "s3cr3t\0"}),
            "kubeconfig: tokenFile: no name of a file",
        ),
        (kubeconfig({"client-key": "."}), "kubeconfig: client-key: not a regular file"),
        (
            kubeconfig({"client-key-data": "czNjcjN0"}),
            "kubeconfig: a client certificate needs its private key, and the key its certificate",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, content: object, message: str
) -> None:
    """The file's name and what is wrong, without a word of the file."""
    written(tmp_path / "self", {"kind": "Config"})
    assert refusal(written(tmp_path / "east", content)) == message


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte less is taken."""
    path = written(tmp_path / "east", f"{URL}\n#".ljust(inputs_module.LIMIT, "x"))
    assert read_source(path).url == URL
    with path.open("a") as file:
        file.write("x")
    monkeypatch.setattr(inputs_module, "open", None, raising=False)
    assert refusal(path) == "larger than 1 MiB"


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the limit is held in memory, whatever its size was said to be."""
    path = written(tmp_path / "east", "#" * (inputs_module.LIMIT + 1))
    empty = written(tmp_path / "empty", "").stat()
    monkeypatch.setattr(inputs_module.os, "stat", lambda _path: empty)
    assert refusal(path) == "larger than 1 MiB"


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "dangling"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """A pipe would be waited for."""
    path = tmp_path / "east"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("east" if kind == "loop" else "nowhere")
    assert (
        refusal(path)
        == {
            "directory": "not a regular file",
            "pipe": "not a regular file",
            "loop": "Too many levels of symbolic links",
            "dangling": "No such file or directory",
        }[kind]
    )


@pytest.mark.parametrize("key", ["client-certificate", "client-key", "tokenFile"])
def test_what_a_kubeconfig_names_is_read_with_the_same_care(tmp_path: Path, key: str) -> None:
    """A pipe that nobody writes to, or a file without an end."""
    os.mkfifo(tmp_path / "pipe")
    written(tmp_path / "large", b"x" * (inputs_module.LIMIT + 1))
    path = written(tmp_path / "east", kubeconfig({key: "pipe"}))
    assert refusal(path) == f"kubeconfig: {key}: not a regular file"
    written(path, kubeconfig({key: str(tmp_path / "large")}))
    assert refusal(path) == f"kubeconfig: {key}: larger than 1 MiB"


def test_what_is_not_needed_may_be_missing(tmp_path: Path, authority: Authority) -> None:
    """The files of other contexts, those whose content is given, and any over plain HTTP."""
    document = kubeconfig()
    document["users"].insert(0, {"name": "other", "user": {"tokenFile": "."}})
    assert read_source(written(tmp_path / "east", document)).url == URL
    inline = b64encode(authority.ca_file.read_bytes()).decode("ascii")
    document = kubeconfig(
        cluster={"certificate-authority": ".", "certificate-authority-data": inline}
    )
    assert read_source(written(tmp_path / "east", document)).url == URL
    document = kubeconfig(cluster={"server": "http://east", "certificate-authority": "missing"})
    assert read_source(written(tmp_path / "east", document)).url == "http://east"


def test_an_error_that_nobody_foresaw_is_told_by_its_type_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text may quote the file."""

    def fail(_path: str) -> str:
        raise RuntimeError(MARK)

    monkeypatch.setattr("servicereflector.sourcedir.kubeconfigs.check_kubeconfig", fail)
    path = written(tmp_path / "east", kubeconfig())
    assert refusal(path) == "cannot be used (RuntimeError)"


def test_the_digest_tells_of_every_file_that_matters(tmp_path: Path, authority: Authority) -> None:
    """Also of one that is replaced in place; and of no other."""
    certificate, key = authority.client("me")
    directory = tmp_path / "config"
    directory.mkdir()
    files = {
        "ca.crt": authority.ca_file.read_text(),
        "me.crt": certificate.read_text(),
        "me.key": key.read_text(),
        "token": "abc",
        "other": "abc",
    }
    for name, content in files.items():
        written(directory / name, content)
    document = kubeconfig(
        {"client-certificate": "me.crt", "client-key": "me.key", "tokenFile": "token"},
        {"certificate-authority": "ca.crt"},
    )
    document["users"].insert(0, {"name": "other", "user": {"tokenFile": "other"}})
    config = written(directory / "kubeconfig", document)
    direct = directory / "kubeconfig"
    named = written(tmp_path / "east", {"kubeconfig": "config/kubeconfig"})
    for path in (direct, named):
        seen = [read_source(path).digest]
        for name in ("ca.crt", "me.crt", "me.key", "token"):
            with (directory / name).open("a") as file:
                file.write("\n")
            seen.append(read_source(path).digest)
        config.write_text(config.read_text() + "\n")
        seen.append(read_source(path).digest)
        assert len(set(seen)) == 6
        written(directory / "other", str(path))
        assert read_source(path).digest == seen[-1]
    digest = read_source(named).digest
    named.write_text(named.read_text() + "\n")
    assert read_source(named).digest != digest


def test_a_file_says_what_its_source_may_have_mirrored(tmp_path: Path) -> None:
    """In lists or in texts with commas; YAML has numbers and booleans, too."""
    path = written(
        tmp_path / "east",
        {
            "url": URL,
            "allow-cidr": ["10.1.0.0/16", "fd00::/64"],
            "map-cidr": "10.1.0.0/16=10.2.0.0/16",
            "deny-ports": [22, "1000-1023"],
            "external-names": False,
            "namespaces": "shop, web-*",
            "deny-namespaces": ["internal"],
        },
    )
    found = read_source(path).admission
    assert found == Admission(
        AddressRules(
            (read_network("10.1.0.0/16"), read_network("fd00::/64")),
            (read_rewrite("10.1.0.0/16=10.2.0.0/16"),),
        ),
        ((22, 22), (1000, 1023)),
        False,
        ("shop", "web-*"),
        ("internal",),
    )
    written(path, {"url": URL, "deny-ports": 22, "namespaces": None})
    assert read_source(path).admission == Admission(denied_ports=((22, 22),))


#: All that may be said of a file of arbitrary bytes.
FIXED = re.compile(
    r"empty|not UTF-8|not YAML( \(line \d+\))?|needs either url or kubeconfig|"
    r"neither a URL, nor a kubeconfig, nor a mapping with url or kubeconfig|"
    rf"has a member that is none of {', '.join(MEMBERS)}|"
    rf"({'|'.join(NAMES)}) (is not a string|goes with url: a kubeconfig says it itself|"
    r"needs https: over plain HTTP anybody on the way reads along)|"
    r"client-certificate and client-key go together|"
    r"fingerprint stands in place of ca-file and server-name: it alone says whom to trust|"
    r"a fingerprint is sha256: and 64 hexadecimal digits|"
    rf"({'|'.join(FILES)}): (No such file or directory|no name of a file|not a regular file)|"
    r"url: not of the form http\[s\]://host\[:port\]\[/path\]: …|url: a URL with .* is not taken|"
    r"(url|kubeconfig|selector) is not a string|selector is no label selector|"
    r"kubeconfig: (No such file or directory|File name too long|no name of a file|"
    r"not a regular file|its path has a ':', which stands between two)|"
    r"(stale|remove)-after: … is no duration: say a duration such as 30s or 5m"
)

bits = st.sampled_from(
    (
        *("url", "kubeconfig", "selector", "stale-after", "https://", "http://h", "30s", "a=b"),
        *(": ", ":", "\n", "- ", "#", "'", '"', "{", "}", "@", "?", "|\n "),
        *("&a ", "*a ", "<<: ", "!!int ", MARK),
    )
)


@given(
    st.one_of(
        st.binary(),
        st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.one_of(bits, bits, st.text(max_size=3))).map(
            lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
        ),
    )
)
def test_of_arbitrary_bytes_comes_a_source_or_a_refusal(content: bytes) -> None:
    """And the refusal is one of a few texts, of which none can hold what the file does."""
    with TemporaryDirectory() as directory:
        path = written(Path(directory, "east"), content)
        found = outcome(path)
        assert isinstance(found, SourceFile) or FIXED.fullmatch(found), found


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.just(MARK),
        st.text(max_size=5).map(lambda text: f"{text}{MARK}{text}"),
        st.sampled_from([f"https://{MARK}", f"'{MARK}", f'{MARK}"\n', f"\\'{MARK}\\\""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.just(MARK), st.sampled_from(["name", "args"])), inner),
    ),
    max_leaves=4,
)

places = st.sampled_from(
    [
        ("current-context",),
        ("contexts",),
        ("contexts", 0, "name"),
        ("contexts", 0, "context"),
        ("contexts", 0, "context", "cluster"),
        ("contexts", 0, "context", "user"),
        ("clusters", 0, "name"),
        ("clusters", 0, "cluster"),
        ("users", 0, "name"),
        ("users", 0, "user"),
        *(
            ("clusters", 0, "cluster", key)
            for key in ("server", "certificate-authority", "certificate-authority-data")
        ),
        ("clusters", 0, "cluster", "tls-server-name"),
        ("clusters", 0, "cluster", "proxy-url"),
        *(
            ("users", 0, "user", key)
            for key in ("token", "tokenFile", "client-key", "client-certificate", "username")
        ),
        *(
            ("users", 0, "user", key)
            for key in ("client-key-data", "client-certificate-data", "exec", "auth-provider")
        ),
    ]
)


@given(st.lists(st.tuples(places, values), min_size=1, max_size=3))
def test_no_word_of_a_kubeconfig_is_in_its_refusal(
    changes: list[tuple[tuple[str | int, ...], object]],
) -> None:
    """Wherever something odd stands, in whatever quotes."""
    document: Any = kubeconfig()
    for place, value in changes:
        parent = document
        for step in place[:-1]:
            try:
                parent = parent[step]
            except (KeyError, IndexError, TypeError):
                parent = None
        if isinstance(parent, dict):
            parent[place[-1]] = value
    with TemporaryDirectory() as directory:
        path = written(Path(directory, "east"), document)
        found = outcome(path)
        if isinstance(found, SourceFile):
            assert found.kubeconfig == str(path)
        else:
            assert MARK not in found
            assert found.isprintable()


# A scan


def test_a_mounted_secret_is_scanned(mount: Mount) -> None:
    """Its own hidden directories are no sources."""
    mount.write(west=URL, east="https://east")
    found = scan(mount.path)
    assert list(found.sources) == ["east", "west"]
    assert found.sources["east"].url == "https://east"
    assert found.files == {"east": "east", "west": "west"}
    assert found.problems == {}


def test_hidden_files_and_directories_are_passed_over(tmp_path: Path) -> None:
    """Links to directories are, too."""
    written(tmp_path / ".east.swp", URL)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "link").symlink_to("lost+found")
    assert scan(tmp_path) == Scan({}, {}, {})


def test_a_bad_file_disturbs_no_other(tmp_path: Path) -> None:
    """It is told, and so are links to nothing and names that cannot be."""
    written(tmp_path / "east.url", URL)
    written(tmp_path / "north", "s3cr3t")
    (tmp_path / "south").symlink_to("nowhere")
    odd = os.fsdecode(b"\xff\n")
    written(tmp_path / odd, URL)
    found = scan(tmp_path)
    assert found.sources == {"east": read_source(tmp_path / "east.url")}
    assert found.files == {"east": "east.url"}
    assert list(found.problems) == [r"'\udcff\n'", "north", "south"]
    assert found.problems["south"] == f"{tmp_path}/south: No such file or directory"
    assert all(problem.isprintable() for problem in found.problems.values())


def test_of_two_files_with_one_name_the_second_is_bad(tmp_path: Path) -> None:
    """Also where the first cannot be used: nothing comes in its place unasked."""
    written(tmp_path / "east.url", URL)
    written(tmp_path / "east.yaml", {"url": "https://other"})
    problem = f"{tmp_path}/east.yaml: a source called 'east' is in the file east.url already"
    found = scan(tmp_path)
    assert found.sources["east"].url == URL
    assert found.problems == {"east.yaml": problem}
    written(tmp_path / "east.url", "")
    found = scan(tmp_path)
    assert found.sources == {}
    assert found.problems == {"east.url": f"{tmp_path}/east.url: empty", "east.yaml": problem}


def test_a_certificate_beside_its_kubeconfig_is_no_mistake(
    tmp_path: Path, authority: Authority
) -> None:
    """One that nothing uses is."""
    sources = tmp_path / "sources"
    sources.mkdir()
    written(sources / "ca.crt", authority.ca_file.read_bytes())
    written(sources / "east", kubeconfig(cluster={"certificate-authority": "./ca.crt"}))
    found = scan(sources)
    assert list(found.sources) == ["east"]
    assert found.problems == {}
    written(sources / "east", "")
    assert list(scan(sources).problems) == ["ca.crt", "east"]


def test_a_directory_with_too_many_entries_is_refused(tmp_path: Path) -> None:
    """Hidden ones do not count."""
    written(tmp_path / ".hidden", "")
    for number in range(MAX_ENTRIES):
        (tmp_path / str(number)).touch()
    assert len(scan(tmp_path).problems) == MAX_ENTRIES
    (tmp_path / "more").touch()
    with pytest.raises(ConfigError, match=f"{tmp_path}: more than 1000 entries"):
        scan(tmp_path)


def test_a_directory_is_checked_at_the_start(tmp_path: Path) -> None:
    """It has to be one; what is in it is another matter."""
    check(tmp_path)
    written(tmp_path / "east", "s3cr3t")
    check(tmp_path)
    with pytest.raises(ConfigError, match="east: Not a directory"):
        check(tmp_path / "east")
    with pytest.raises(ConfigError, match="missing: No such file or directory"):
        check(tmp_path / "missing")


class Swapping:
    """Calls something before the files of a scan are read, from the second on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.actions: list[Callable[[], None]] = []
        self.reads: list[str] = []
        monkeypatch.setattr("servicereflector.sourcedir.scanner.read_source", self._read)

    def _read(self, path: Path, inputs: inputs_module.Inputs) -> SourceFile:
        self.reads.append(path.name)
        try:
            return read_source(path, inputs)
        finally:
            if self.actions:
                self.actions.pop(0)()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Swapping:
    return Swapping(monkeypatch)


def test_a_swap_within_a_scan_is_never_seen_by_half(mount: Mount, reads: Swapping) -> None:
    """The scan begins again, and sees just the new."""
    mount.write(a="https://old", b="https://old", c="https://old")
    reads.actions = [lambda: mount.write(a="https://new", b="https://new", d="https://new")]
    found = scan(mount.path)
    assert {name: source.url for name, source in found.sources.items()} == {
        "a": "https://new",
        "b": "https://new",
        "d": "https://new",
    }
    assert found.problems == {}


def test_swaps_without_an_end_are_trouble(mount: Mount, reads: Swapping) -> None:
    """Some other time it may be possible."""
    mount.write(a="https://0")
    scanner = Scanner(mount.path)
    reads.actions = [lambda n=n: mount.write(a=f"https://{n}") for n in range(1, 4)]
    with pytest.raises(ConfigError, match="replaced faster than it can be read"):
        scanner.scan()
    assert reads.actions == []
    assert scanner.scan().sources["a"].url == "https://3"


def test_what_is_unchanged_is_not_parsed_again(
    tmp_path: Path, reads: Swapping, authority: Authority
) -> None:
    """Good or bad: YAML is slow. What it is made of counts."""
    written(tmp_path / "bad", "s3cr3t")
    written(tmp_path / "east", kubeconfig(cluster={"certificate-authority": "ca/new.crt"}))
    written(tmp_path / "west", URL)
    scanner = Scanner(tmp_path)
    first = scanner.scan()
    assert list(first.problems) == ["bad", "east"]
    assert reads.reads == ["bad", "east", "west"]
    assert scanner.scan() == first
    assert len(reads.reads) == 3
    written(tmp_path / "ca" / "new.crt", authority.ca_file.read_bytes())
    assert list(scanner.scan().sources) == ["east", "west"]
    assert reads.reads[3:] == ["east"]
    os.utime(tmp_path / "west")
    scanner.scan()
    assert len(reads.reads) == 4


def test_an_empty_directory_where_a_volume_was_is_not_believed(mount: Mount) -> None:
    """An unmounted volume leaves its mount point."""
    mount.write(east=URL)
    scanner = Scanner(mount.path)
    before = scanner.scan()
    mount.path.rename(mount.path.with_name("away"))
    mount.path.mkdir()
    for _ in range(2):
        with pytest.raises(ConfigError, match="no longer mounted"):
            scanner.scan()
    mount.path.rmdir()
    mount.path.with_name("away").rename(mount.path)
    assert scanner.scan() == before


contents = st.sampled_from(
    [
        None,
        "",
        URL,
        "https://other",
        "url: https://other",
        "kubeconfig: config",
        "kubeconfig: missing",
        yaml.safe_dump(kubeconfig()),
        yaml.safe_dump(kubeconfig({"tokenFile": "token"})),
        yaml.safe_dump(kubeconfig(cluster={"server": "https://other"})),
    ]
)
edits = st.tuples(
    st.sampled_from(["east", "east.yaml", "west", "config", "token", "link"]), contents
)


@given(st.lists(st.lists(edits, max_size=3), max_size=6))
def test_a_scanner_sees_what_one_without_a_past_sees(
    rounds: Sequence[Sequence[tuple[str, str | None]]],
) -> None:
    """Whatever was kept of earlier scans."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "link").symlink_to("west")
        scanner = Scanner(directory)
        for changes in rounds:
            for file, content in changes:
                path = directory / file
                if content is not None:
                    path.write_text(content)
                elif file != "link":
                    path.unlink(missing_ok=True)
            assert scanner.scan() == scan(directory)


# The Service


class Thread:
    """Runs a scan when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Scan], Deferred[Scan]]] = []

    def __call__(self, job: Callable[[], Scan]) -> Deferred[Scan]:
        d: Deferred[Scan] = Deferred()
        self.jobs.append((job, d))
        return d

    def run(self) -> None:
        job, d = self.jobs.pop(0)
        maybeDeferred(job).chainDeferred(d)


class Watcher:
    """A Service of a directory, and what it told."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.calls: list[tuple[dict[str, SourceFile], Mapping[str, str]]] = []
        self.error: Exception | None = None
        self.lines: list[str] = []
        self.levels: list[LogLevel] = []
        self.service = self.make(directory, maybeDeferred)

    def make(self, directory: Path, thread: Any) -> SourceDirectory:
        service = SourceDirectory(self.clock, directory, self._changed, defer_to_thread=thread)
        service.log = Logger(observer=self._logged)
        return service

    def _changed(self, sources: Sequence[SourceFile], problems: Mapping[str, str]) -> None:
        assert [source.name for source in sources] == sorted(source.name for source in sources)
        self.calls.append(({source.name: source for source in sources}, problems))
        if self.error is not None:
            raise self.error

    def _logged(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))
        self.levels.append(event["log_level"])

    def look(self) -> list[str]:
        """Let it scan; what it logs."""
        self.clock.advance(INTERVAL)
        return self.told()

    def told(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    def urls(self) -> dict[str, str]:
        """Of the sources that were told last."""
        return {name: source.url for name, source in self.calls[-1][0].items()}


@pytest.fixture
def watcher(mount: Mount) -> Iterator[Watcher]:
    mount.write()
    watcher = Watcher(mount.path)
    yield watcher
    if watcher.service.running:
        watcher.service.stopService()
    assert watcher.clock.getDelayedCalls() == []


def test_the_first_scan_is_told_even_of_an_empty_directory(watcher: Watcher) -> None:
    """Who waits for it knows then; the second says nothing new."""
    watcher.service.startService()
    assert watcher.calls == [({}, {})]
    assert watcher.look() == []
    assert len(watcher.calls) == 1


def test_sources_come_change_and_go(watcher: Watcher, mount: Mount) -> None:
    """Each change is told once, all sources with it, and logged."""
    watcher.service.startService()
    mount.write(east=URL)
    assert watcher.look() == [f"source east: added from {mount.path}/east"]
    assert watcher.urls() == {"east": URL}
    mount.write(east="https://new", north=URL)
    assert watcher.look() == [
        f"source east: changed in {mount.path}/east",
        f"source north: added from {mount.path}/north",
    ]
    assert watcher.urls() == {"east": "https://new", "north": URL}
    assert watcher.service.sources == watcher.calls[-1][0]
    mount.write(north=URL)
    assert watcher.look() == [f"source east: removed with {mount.path}/east"]
    assert watcher.urls() == {"north": URL}
    assert set(watcher.levels) == {LogLevel.info}
    assert len(watcher.calls) == 4


def test_a_swap_without_a_change_is_no_change(watcher: Watcher, mount: Mount) -> None:
    """Kubernetes swaps for the sake of other keys, too."""
    mount.write(east=URL)
    watcher.service.startService()
    mount.write(east=URL, **{".other": "x"})
    assert watcher.told() == [f"source east: added from {mount.path}/east"]
    assert watcher.look() == []
    assert len(watcher.calls) == 1


def test_a_rotated_credential_is_a_change(watcher: Watcher, mount: Mount, tmp_path: Path) -> None:
    """Its file is not in the directory."""
    written(tmp_path / "token", "abc")
    mount.write(east=yaml.safe_dump(kubeconfig({"tokenFile": str(tmp_path / "token")})))
    watcher.service.startService()
    watcher.told()
    written(tmp_path / "token", "def")
    assert watcher.look() == [f"source east: changed in {mount.path}/east"]


def test_scans_are_seconds_apart(mount: Mount) -> None:
    """And begin with the Service."""
    mount.write()
    watcher, thread = Watcher(mount.path), Thread()
    service = watcher.make(mount.path, thread)
    service.startService()
    assert len(thread.jobs) == 1
    thread.run()
    watcher.clock.advance(INTERVAL - 0.1)
    assert len(thread.jobs) == 0
    watcher.clock.advance(0.1)
    assert len(thread.jobs) == 1
    service.stopService()


def test_scans_never_overlap(mount: Mount) -> None:
    """However long one takes; the next is counted from its end. Nor do they by a restart."""
    mount.write(east=URL)
    watcher, thread = Watcher(mount.path), Thread()
    service = watcher.make(mount.path, thread)
    service.startService()
    watcher.clock.advance(10 * INTERVAL)
    service.stopService()
    service.startService()
    watcher.clock.advance(10 * INTERVAL)
    assert len(thread.jobs) == 1
    thread.run()
    assert watcher.urls() == {"east": URL}
    watcher.clock.advance(INTERVAL)
    assert len(thread.jobs) == 1
    service.stopService()
    thread.run()
    assert watcher.clock.getDelayedCalls() == []


@pytest.mark.parametrize("lost", [False, True])
def test_what_a_scan_finds_after_the_stop_is_not_told(mount: Mount, lost: bool) -> None:
    """It is not waited for either. A start afterwards goes on."""
    mount.write(east=URL)
    watcher, thread = Watcher(mount.path), Thread()
    service = watcher.make(mount.path, thread)
    service.startService()
    assert service.stopService() is None
    if lost:
        mount.path.rename(mount.path.with_name("away"))
    thread.run()
    assert (watcher.calls, watcher.told(), service.trouble) == ([], [], "")
    assert watcher.clock.getDelayedCalls() == []
    service.startService()
    assert len(thread.jobs) == 1
    service.stopService()


def test_a_file_that_has_become_bad_keeps_its_source(watcher: Watcher, mount: Mount) -> None:
    """Until it is good again. The problem is told once, and again when it is another."""
    mount.write(east=URL, west=URL)
    watcher.service.startService()
    before = watcher.calls[-1][0]
    watcher.told()
    mount.write(east="s3cr3t", west=URL)
    problem = f"{mount.path}/east: neither a URL, nor a kubeconfig, nor a mapping"
    (line,) = watcher.look()
    assert line.startswith(problem)
    assert line.endswith("; its source stays as it was")
    assert watcher.levels[-1] is LogLevel.warn
    assert watcher.calls[-1] == (before, watcher.service.problems)
    assert watcher.service.problems["east"].startswith(problem)
    assert watcher.look() == []
    mount.write(east="", west=URL)
    assert watcher.look() == [f"{mount.path}/east: empty; its source stays as it was"]
    assert watcher.calls[-1] == (before, {"east": f"{mount.path}/east: empty"})
    mount.write(east=URL, west=URL)
    assert watcher.look() == [f"source east: {mount.path}/east is good again"]
    assert watcher.calls[-1] == (before, {})
    assert len(watcher.calls) == 4


def test_a_source_that_is_kept_has_its_place_among_the_others(
    watcher: Watcher, mount: Mount
) -> None:
    """They are sorted by name whether their files are good or bad."""
    mount.write(east=URL, north=URL, west=URL)
    watcher.service.startService()
    mount.write(east=URL, north="", west=URL)
    watcher.look()
    assert list(watcher.urls()) == list(watcher.service.sources) == ["east", "north", "west"]


def test_a_bad_file_that_is_gone_takes_its_source_along(watcher: Watcher, mount: Mount) -> None:
    """A link to nothing is not gone."""
    mount.write(east=URL)
    watcher.service.startService()
    watcher.told()
    target = (mount.path / "..data" / "east").resolve()
    target.unlink()
    assert watcher.look() == [
        f"{mount.path}/east: No such file or directory; its source stays as it was"
    ]
    assert watcher.urls() == {"east": URL}
    (mount.path / "east").unlink()
    assert watcher.look() == [f"source east: removed with {mount.path}/east"]
    assert watcher.calls[-1] == ({}, {})
    target.touch()  # for the Mount


def test_a_file_that_was_never_good_has_no_source(watcher: Watcher, mount: Mount) -> None:
    """Once it is good it has."""
    mount.write(east="")
    watcher.service.startService()
    assert watcher.told() == [f"{mount.path}/east: empty"]
    assert watcher.calls == [({}, {"east": f"{mount.path}/east: empty"})]
    mount.write(east=URL)
    assert watcher.look() == [f"source east: added from {mount.path}/east"]
    assert watcher.calls[-1] == ({"east": read_source(mount.path / "east")}, {})


def test_a_bad_file_before_a_good_one_of_the_same_name_takes_nothing(
    watcher: Watcher, mount: Mount
) -> None:
    """The good one keeps its source; when the first is good, it has it."""
    mount.write(**{"east.yaml": URL})
    watcher.service.startService()
    watcher.told()
    mount.write(**{"east": "", "east.yaml": URL})
    assert len(watcher.look()) == 2
    assert watcher.urls() == {"east": URL}
    mount.write(**{"east": "https://first", "east.yaml": URL})
    assert watcher.look() == [f"source east: changed in {mount.path}/east"]
    assert watcher.urls() == {"east": "https://first"}
    mount.write(**{"east.yaml": URL})
    assert watcher.look() == [f"source east: changed in {mount.path}/east.yaml"]
    assert watcher.calls[-1] == ({"east": read_source(mount.path / "east.yaml")}, {})


def test_a_file_that_is_renamed_within_its_source_is_no_change(
    watcher: Watcher, mount: Mount
) -> None:
    """And it is by its new name that it is bad, later."""
    mount.write(east=URL)
    watcher.service.startService()
    watcher.told()
    mount.write(**{"east.url": URL})
    assert watcher.look() == []
    mount.write(**{"east.url": ""})
    assert watcher.look() == [f"{mount.path}/east.url: empty; its source stays as it was"]
    assert watcher.urls() == {"east": URL}


def test_while_the_directory_cannot_be_read_everything_stays(
    watcher: Watcher, mount: Mount
) -> None:
    """One warning, whatever the reason becomes; one line at its end."""
    mount.write(east=URL)
    watcher.service.startService()
    watcher.told()
    away = mount.path.with_name("away")
    mount.path.rename(away)
    trouble = f"{mount.path}: No such file or directory"
    assert watcher.look() == [
        f"the source directory cannot be read, its sources stay as they are: {trouble}"
    ]
    assert watcher.levels[-1] is LogLevel.warn
    assert watcher.service.trouble == trouble
    mount.path.touch()
    assert watcher.look() == []
    assert watcher.service.trouble == f"{mount.path}: Not a directory"
    assert list(watcher.service.sources) == ["east"]
    assert len(watcher.calls) == 1
    mount.path.unlink()
    away.rename(mount.path)
    (line,) = watcher.look()
    assert line.startswith("the source directory can be read again, after 2 failed attempts in ")
    assert watcher.service.trouble == ""
    assert watcher.look() == []
    assert len(watcher.calls) == 1


def test_a_directory_that_cannot_be_read_at_first_is_not_told_as_empty(tmp_path: Path) -> None:
    """That would be the end of all its mirrors."""
    watcher = Watcher(tmp_path / "sources")
    watcher.service.startService()
    watcher.look()
    assert watcher.calls == []
    Mount(tmp_path / "sources").write(east=URL)
    watcher.look()
    assert watcher.urls() == {"east": URL}
    assert len(watcher.calls) == 1
    watcher.service.stopService()


def test_an_unexpected_error_is_told_by_its_type_only(mount: Mount) -> None:
    """Its text may hold anything. The next scan is made all the same."""
    mount.write()
    watcher, thread = Watcher(mount.path), Thread()
    service = watcher.make(mount.path, thread)
    service.startService()
    thread.jobs.pop()[1].errback(RuntimeError(MARK))
    assert watcher.told() == [
        "the source directory cannot be read, its sources stay as they are: RuntimeError"
    ]
    watcher.clock.advance(INTERVAL)
    thread.run()
    assert watcher.calls == [({}, {})]
    service.stopService()


def test_an_error_of_who_is_told_does_not_end_the_scans(watcher: Watcher, mount: Mount) -> None:
    """It is a defect, and logged as one."""
    watcher.error = RuntimeError("a defect")
    watcher.service.startService()
    assert watcher.levels == [LogLevel.critical]
    watcher.error = None
    mount.write(east=URL)
    watcher.look()
    assert watcher.urls() == {"east": URL}


@pytest_twisted.ensureDeferred
async def test_scans_are_made_in_a_thread(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reactor does not wait for files."""
    from threading import current_thread

    threads = []

    def noting(path: Path, inputs: inputs_module.Inputs) -> SourceFile:
        threads.append(current_thread())
        return read_source(path, inputs)

    monkeypatch.setattr("servicereflector.sourcedir.scanner.read_source", noting)
    mount.write(east=URL)
    told: Deferred[Sequence[SourceFile]] = Deferred()
    service = SourceDirectory(reactor, mount.path, lambda sources, _: told.callback(sources))
    service.startService()
    assert not told.called
    (east,) = await told
    await maybeDeferred(service.stopService)
    assert east.url == URL
    assert threads != [current_thread()]
