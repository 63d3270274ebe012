"""The shop's repository on a fake GitHub that containers reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.github.running import Job as Shop


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.image.shop import make_template

    return make_template(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(shop_template: Path, tmp_path: Path) -> Iterator[Shop]:
    from tests.image.shop import open_shop

    with open_shop(shop_template, tmp_path) as found:
        yield found
