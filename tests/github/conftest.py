"""The fake GitHub, for the tests that talk to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.github.running import Job
    from tests.github.server.world import World


@pytest.fixture(autouse=True)
def fetch_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts to fetch that there would have been."""
    waits: list[float] = []
    monkeypatch.setattr("converger.github.repository.sleep", waits.append)
    return waits


@pytest.fixture(scope="session")
def repository_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.github.server.world import make_template

    path = tmp_path_factory.mktemp("template") / "octo-shop.git"
    make_template(path)
    return path


@pytest.fixture(params=[""])
def world(request: pytest.FixtureRequest, repository_template: Path, tmp_path: Path) -> Iterator[World]:
    """A world on github.com; parametrised indirectly with `/api/v3`, on a GitHub Enterprise Server."""
    from tests.github.server.world import make_world

    found = make_world(repository_template, tmp_path, prefix=request.param)
    with found.github:
        yield found
        found.client.close()
    assert found.github.violations == []


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with an Alembic project."""
    from tests.github.running import start
    from tests.github.server.store import Store

    folder = tmp_path_factory.mktemp("shop")
    store = Store(folder / "octo-shop.git")
    store.initialise()
    start(folder, store)
    return store.path


@pytest.fixture(params=[""])
def job(request: pytest.FixtureRequest, shop_template: Path, tmp_path: Path) -> Iterator[Job]:
    """Runs for a copy of that repository; parametrised as `world` is."""
    from tests.github.running import Job
    from tests.github.server.world import make_world

    world = make_world(shop_template, tmp_path, prefix=request.param)
    with world.github:
        yield Job(world, tmp_path)
        world.client.close()
    assert world.github.violations == []
