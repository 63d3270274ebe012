"""Becomes the `sitecustomize` of the project's interpreter: what it makes was there before us."""

import os

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import QueuePool

if "EARLY" in os.environ:
    from importlib import import_module

    _module = import_module(os.environ["EARLY"])
    _attempts = _module.ATTEMPTS
    ENGINES = {driver: sa.create_engine(_module.url(driver)) for driver in _attempts.drivers}
    ENGINES.update(
        {f"{driver}_async": create_async_engine(_module.url(driver)) for driver in _attempts.async_drivers}
    )
    # Filled before there is an engine, so that nothing but the connection was made.
    _pools = {driver: QueuePool(make) for driver, make in _attempts.makers.items()}
    if os.environ["FILL"]:
        for pool in _pools.values():
            pool.connect().close()
    FILLED = {driver: sa.create_engine(_attempts.empty(driver), pool=pool) for driver, pool in _pools.items()}
