"""The proxy examples of `deploy/proxy/`, run by the real programs on ports of the loopback."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.deadlines import TEST_DEADLINE_S

EXAMPLES = Path(__file__).parents[2] / "deploy" / "proxy"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
NAME = "avatar.example.org"

# What Debian's package has in /etc/nginx/nginx.conf, without its folders.
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/ditto-avatar.conf;
}}
"""


class NotInstalled(Exception):
    """The proxy is not on this machine."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs, and how it is reached."""

    scheme: str
    port: int
    tls: ssl.SSLContext | None

    @property
    def origin(self) -> str:
        """The origin of a page that is opened through the proxy."""
        return f"{self.scheme}://{NAME}:{self.port}"

    def http(self, source: str) -> httpx.AsyncClient:
        """A client at the address `source`."""
        transport = httpx.AsyncHTTPTransport(local_address=source, verify=self.tls or False)
        return httpx.AsyncClient(
            base_url=f"{self.scheme}://127.0.0.1:{self.port}",
            headers={"Host": f"{NAME}:{self.port}"},
            transport=transport,
            timeout=20,
        )


@asynccontextmanager
async def nginx(
    folder: Path, upstream: int, changes: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Proxy]:
    """nginx with the example, in front of a server on the port `upstream`; `changes` are made to
    the example. Raises `NotInstalled`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise NotInstalled("nginx is not installed (Debian's package: nginx-light)")
    port, plain = free_port(), free_port()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _certify(certificate, key)
    example = _changed(
        (EXAMPLES / "nginx.conf").read_text(encoding="utf-8"),
        {
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen [::]:80;": "",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "listen [::]:443 ssl;": "",
            "127.0.0.1:7136": f"127.0.0.1:{upstream}",
            "/etc/ssl/avatar.example.org/fullchain.pem": str(certificate),
            "/etc/ssl/avatar.example.org/privkey.pem": str(key),
            **changes,
        },
    )
    (folder / "ditto-avatar.conf").write_text(example, encoding="utf-8")
    configuration = folder / "nginx.conf"
    whole = _NGINX.format(folder=folder)
    if os.geteuid() == 0:
        whole = f"user {_owner(folder)};\n{whole}"
    configuration.write_text(whole, encoding="utf-8")
    tls = ssl.create_default_context(cafile=str(certificate))
    tls.check_hostname = False
    async with _running([program, "-c", str(configuration), "-p", str(folder)], port):
        yield Proxy("https", port, tls)


@asynccontextmanager
async def caddy(folder: Path, upstream: int) -> AsyncIterator[Proxy]:
    """Caddy with the example, without TLS, for which it would ask an authority. Raises
    `NotInstalled`."""
    program = shutil.which("caddy")
    if program is None:
        raise NotInstalled("Caddy is not installed (Debian's package: caddy)")
    port = free_port()
    example = _changed(
        (EXAMPLES / "Caddyfile").read_text(encoding="utf-8"),
        {
            "{\n\tservers {": "{\n\tadmin off\n\tservers {",
            "\navatar.example.org {": f"\nhttp://{NAME}:{port} {{\n\tbind 127.0.0.1",
            "127.0.0.1:7136": f"127.0.0.1:{upstream}",
        },
    )
    configuration = folder / "Caddyfile"
    configuration.write_text(example, encoding="utf-8")
    command = [program, "run", "--config", str(configuration), "--adapter", "caddyfile"]
    async with _running(command, port, HOME=str(folder), XDG_DATA_HOME=str(folder)):
        yield Proxy("http", port, None)


@asynccontextmanager
async def nginx_below(folder: Path, upstream: int) -> AsyncIterator[Proxy]:
    """nginx with the example of docs/operations.md for a path of a site, without TLS. Raises
    `NotInstalled`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise NotInstalled("nginx is not installed (Debian's package: nginx-light)")
    port = free_port()
    locations = _documented("nginx", upstream)
    site = f"server {{\n    listen 127.0.0.1:{port};\n{locations}\n}}\n"
    (folder / "ditto-avatar.conf").write_text(site, encoding="utf-8")
    configuration = folder / "nginx.conf"
    whole = _NGINX.format(folder=folder)
    if os.geteuid() == 0:
        whole = f"user {_owner(folder)};\n{whole}"
    configuration.write_text(whole, encoding="utf-8")
    async with _running([program, "-c", str(configuration), "-p", str(folder)], port):
        yield Proxy("http", port, None)


@asynccontextmanager
async def caddy_below(folder: Path, upstream: int) -> AsyncIterator[Proxy]:
    """Caddy with the example of docs/operations.md for a path of a site. Raises `NotInstalled`."""
    program = shutil.which("caddy")
    if program is None:
        raise NotInstalled("Caddy is not installed (Debian's package: caddy)")
    port = free_port()
    site = f"{{\n\tadmin off\n}}\nhttp://{NAME}:{port} {{\n\tbind 127.0.0.1\n"
    configuration = folder / "Caddyfile"
    configuration.write_text(f"{site}{_documented('caddyfile', upstream)}\n}}\n", encoding="utf-8")
    command = [program, "run", "--config", str(configuration), "--adapter", "caddyfile"]
    async with _running(command, port, HOME=str(folder), XDG_DATA_HOME=str(folder)):
        yield Proxy("http", port, None)


def _documented(language: str, upstream: int) -> str:
    """The block of this language in docs/operations.md, in front of the port `upstream`."""
    (block,) = re.findall(
        rf"```{language}\n(.*?)```", OPERATIONS.read_text(encoding="utf-8"), re.DOTALL
    )
    return _changed(block, {"127.0.0.1:7136": f"127.0.0.1:{upstream}"})


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the example has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _certify(certificate: Path, key: Path) -> None:
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
            "-out", certificate, "-keyout", key,
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def _owner(folder: Path) -> str:
    # The workers of a root's nginx have to reach the folder of the test, which is root's.
    return folder.owner()


@asynccontextmanager
async def _running(command: list[str], port: int, **environment: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await _until_listening(process, port)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _until_listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(TEST_DEADLINE_S):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # nothing listens yet: there is nothing to wait on
            else:
                writer.close()
                await writer.wait_closed()
                return
    _, errors = await process.communicate()
    raise RuntimeError(f"the proxy ended: {errors.decode()}")
