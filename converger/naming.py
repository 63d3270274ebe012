"""Which file a merge revision goes into: the project's file_template, kept inside its version location."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError
from converger.plan import PlannedMerge, moment

if TYPE_CHECKING:
    from converger.project import Project

_MAX_NAME_BYTES = 255


def slug_of(message: str, length: int) -> str:
    """Return the message as a part of a file name, cut at a word as Alembic's `truncate_slug_length` says."""
    slug = "_".join(re.findall(r"\w+", message)).lower()
    length = length or 40
    if len(slug) > length:
        slug = slug[:length].rsplit("_", 1)[0] + "_"
    return slug


def file_name(file_template: str, merge: PlannedMerge, slug_length: int) -> str:
    """Return the file name (it may hold folders) that `file_template` gives, without `.py` added twice.

    Raises ConfigurationError (`file-template`) for a template that Alembic could not use either.
    """
    date: datetime = merge.create_date
    tokens = {
        "rev": merge.revision,
        "slug": slug_of(merge.message, slug_length),
        "epoch": int(moment(date).timestamp()),
        "year": date.year,
        "month": date.month,
        "day": date.day,
        "hour": date.hour,
        "minute": date.minute,
        "second": date.second,
    }
    try:
        # A width such as %(rev)999999999s is a way to eat all memory, and no way to name a file.
        if re.search(r"%(\([^)]*\))?[-#+ .\d]*\d{4}", file_template):
            raise ValueError("a width of four digits or more")
        return f"{file_template % tokens}.py"
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ConfigurationError(
            f"file_template cannot be used: {file_template!r}: {error}",
            code="file-template",
            hint="Alembic's tokens are rev, slug, epoch, year, month, day, hour, minute and second",
        ) from None


def version_location(project: Project, first_parent: Path) -> Path:
    """Return the version location for a merge: the only one, else the one that holds its first parent's file.

    That is Alembic's rule. Of nested locations it is the innermost.
    """
    locations = project.version_locations
    holding = [location for location in locations if first_parent.is_relative_to(location)]
    return max(holding, key=lambda location: len(location.parts), default=locations[0])


def merge_path(
    project: Project, merge: PlannedMerge, location: Path, taken: Collection[Path]
) -> tuple[Path, bool]:
    """Return the absolute path for a merge in `location`, and whether its folders had to be left out.

    Folders in `file_template` are left out where `recursive_version_locations` is off: Alembic would write
    the file and then not find it. A name that is `taken`, or that exists, gets the revision id at its end.

    Raises ConfigurationError: `file-template` where the name would leave the location or Alembic would not
    read such a file, `file-exists` where even the longer name is in use.
    """
    name = os.path.normpath(file_name(project.file_template, merge, project.truncate_slug_length))
    parts = Path(name).parts
    flattened = len(parts) > 1 and not project.recursive_version_locations
    _check(project, name, parts, location)
    if flattened:
        parts = parts[-1:]
    path = location.joinpath(*parts)
    for candidate in (path, path.with_name(f"{path.stem}_{merge.revision}.py")):
        if candidate not in taken and not os.path.lexists(candidate):
            return candidate, flattened
    raise ConfigurationError(
        f"{path.name} exists already in {path.parent}",
        code="file-exists",
        hint="move that file away, or put %(rev)s into file_template",
    )


def _check(project: Project, name: str, parts: tuple[str, ...], location: Path) -> None:
    def wrong(why: str) -> ConfigurationError:
        return ConfigurationError(
            f"file_template {project.file_template!r} gives {name!r}: {why}",
            code="file-template",
            hint="file_template must name a file inside the version location",
        )

    if os.path.isabs(name) or ".." in parts or "\0" in name:
        raise wrong("it would leave the version location")
    if any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in parts):
        raise wrong("it is too long")
    if parts[-1].startswith((".#", "__init__")) or any(part.endswith("__pycache__") for part in parts[:-1]):
        raise wrong("Alembic does not read such files")
    if any(not part.isprintable() for part in parts):
        raise wrong("it holds a control character")
    folder = location.joinpath(*parts).parent
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(location)):
        raise wrong("a symbolic link leads it out of the version location")
