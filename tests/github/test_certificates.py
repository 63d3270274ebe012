"""A GitHub Enterprise Server whose certificate nobody but the company knows."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.running import EMAIL, Job, start
from tests.github.server.http import FakeGitHub
from tests.github.server.store import Store, Token
from tests.github.server.world import TOKEN, World, make_world
from tests.github.test_entrypoint import ENTRYPOINT


class WithTls(FakeGitHub):
    @property
    def server_url(self) -> str:
        return super().server_url.replace("http:", "https:").replace("127.0.0.1", "localhost")

    def certify(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run([*command.split(), *more], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "certificate.pem"


@pytest.fixture
def job(certificate: Path, tmp_path: Path) -> Iterator[Job]:
    store = Store(tmp_path / "made" / "octo-shop.git")
    store.initialise()
    start(tmp_path, store)
    plain = make_world(store.path, tmp_path, prefix="/api/v3")
    plain.github._server.server_close()
    plain.store.tokens[TOKEN] = Token()
    github = WithTls(plain.store, prefix="/api/v3")
    github.certify(certificate, certificate.with_name("key.pem"))
    with github:
        yield Job(World(tmp_path, plain.store, github, plain.client), tmp_path)
    assert github.violations == []


@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", None]
)
def test_a_certificate_of_the_company(job: Job, certificate: Path, name: str | None) -> None:
    """One variable is enough for git and for the API."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    if name is not None:
        job.extra[name] = str(certificate)
    mode = "check" if name is None else "commit"
    environment, summary, _ = job.environment("pull_request", job.pull(), skip_validation="true", mode=mode)
    done = subprocess.run(ENTRYPOINT, env=environment, capture_output=True, text=True, cwd=job.folder)
    if name is None:
        assert done.returncode == 3 and "SSL_CERT_FILE" in summary.read_text(), done.stdout
        return
    assert done.returncode == 0 and "Merged 2 heads" in summary.read_text(), done.stdout + done.stderr
