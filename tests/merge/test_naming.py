"""Where a merge goes: the project's file_template and version locations, and never outside of them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st

from converger.errors import ConfigurationError
from converger.naming import file_name, slug_of
from converger.plan import PlannedMerge
from converger.write import write_merges
from tests.merge.support import Case


def merge(
    message: str = "merge aaaa and bbbb", date: datetime = datetime(2024, 2, 9, 3, 4, 5)
) -> PlannedMerge:
    return PlannedMerge("c0ffee", ("aaaa", "bbbb"), date, message)


@given(
    st.text(max_size=80),
    st.integers(0, 60),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone.utc)),
    st.sampled_from(
        ["%(rev)s_%(slug)s", "%(year)d/%(month).2d/%(day)02d-%(hour).2d%(minute).2d_%(second)s_%(epoch)s"]
    ),
)
def test_the_name_is_the_one_that_alembic_gives(
    message: str, length: int, date: datetime, template: str
) -> None:
    script = ScriptDirectory("/", file_template=template, truncate_slug_length=length)
    theirs = script._rev_path("/", "c0ffee", message, date)
    assert Path("/", file_name(template, merge(message, date), length)) == theirs


def test_epoch_of_a_naive_date_is_utc() -> None:
    assert file_name("%(epoch)s", merge(date=datetime(1970, 1, 2)), 40) == "86400.py"


def test_slug_is_cut_at_a_word() -> None:
    assert (
        slug_of("merge 2c34dee3304e, 7fbf463be9a7 and b61cf349aa4b", 40)
        == "merge_2c34dee3304e_7fbf463be9a7_and_"
    )


@pytest.mark.parametrize(
    "template",
    [
        "../%(rev)s",
        "/tmp/%(rev)s",
        "a/../../%(rev)s",
        "%(slug)s/../../../x",
        "%(nothing)s",
        "%(rev)d",
        "%",
        "%(rev)s\0",
        "%(rev)s\n",
        "%(rev)999999999999s",
        "%(rev)300s",
        "__init__%(rev)s",
        ".#%(rev)s",
        "__pycache__/%(rev)s",
    ],
)
@pytest.mark.parametrize("recursive", [True, False])
def test_a_template_that_names_no_revision_file_is_refused(
    tmp_path: Path, template: str, recursive: bool
) -> None:
    case = Case(tmp_path / "p").settings(file_template=template, recursive_version_locations=recursive)
    with pytest.raises(ConfigurationError) as caught:
        case.render()
    assert caught.value.code == "file-template"
    assert caught.value.hint is not None


def test_a_folder_that_is_a_link_out_of_the_location_is_refused(tmp_path: Path) -> None:
    case = Case(tmp_path / "p").settings(file_template="%(year)d/%(rev)s", recursive_version_locations=True)
    (tmp_path / "elsewhere").mkdir()
    (case.files.versions / "2026").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        case.render()


def test_digits_in_the_template_are_no_width(tmp_path: Path) -> None:
    case = Case(tmp_path / "p").settings(file_template="v20240001_%(rev)s")
    assert case.render().files[0].path.name == "v20240001_ba4ee8b292d6.py"


def test_folders_in_a_recursive_location(tmp_path: Path) -> None:
    case = Case(tmp_path / "p").settings(
        file_template="%(year)d/%(month).2d/%(rev)s", recursive_version_locations=True
    )
    rendered = case.render()
    (file,) = rendered.files
    assert file.path == case.files.versions / "2026" / "01" / "ba4ee8b292d6.py"
    assert rendered.notes == ()
    write_merges(rendered.files)
    assert case.alembic_heads() == ("ba4ee8b292d6",)


def test_folders_where_alembic_would_not_look(tmp_path: Path) -> None:
    case = Case(tmp_path / "p").settings(file_template="%(year)d/%(rev)s")
    rendered = case.render()
    assert rendered.files[0].path == case.files.versions / "ba4ee8b292d6.py"
    assert [note.kind for note in rendered.notes] == ["folders-left-out"]
    write_merges(rendered.files)
    assert case.alembic_heads() == ("ba4ee8b292d6",)


class TestSeveralLocations:
    def case(self, root: Path, **settings: object) -> Case:
        """`aaaa` is in versions, `bbbb` and `cccc` in other/new."""
        case = Case(root, heads=("aaaa", "bbbb", "cccc"))
        other = root / "other" / "new"
        other.mkdir(parents=True)
        for head in ("bbbb", "cccc"):
            (case.files.versions / f"{head}_rev.py").rename(other / f"{head}_rev.py")
        return case.settings(version_locations=(case.files.versions, other), **settings)

    def test_a_merge_goes_where_its_first_parent_is(self, tmp_path: Path) -> None:
        case = self.case(tmp_path / "p")
        first, second = case.render().files
        assert first.merge.parents == ("aaaa", "bbbb")
        assert first.path.parent == case.files.versions
        assert second.merge.parents == ("ba4ee8b292d6", "cccc")
        assert second.path.parent == case.files.versions
        (case.files.versions / "aaaa_rev.py").rename(case.project.version_locations[1] / "aaaa_rev.py")
        assert {file.path.parent for file in case.render().files} == {case.project.version_locations[1]}

    def test_the_location_and_not_the_folder_inside_it(self, tmp_path: Path) -> None:
        case = self.case(tmp_path / "p", recursive_version_locations=True)
        deep = case.files.versions / "2020"
        deep.mkdir()
        (case.files.versions / "aaaa_rev.py").rename(deep / "aaaa_rev.py")
        assert case.render().files[0].path.parent == case.files.versions

    def test_alembic_finds_them(self, tmp_path: Path) -> None:
        case = self.case(tmp_path / "p")
        rendered = case.render()
        write_merges(rendered.files)
        assert case.alembic_heads() == (rendered.files[-1].merge.revision,)


class TestNamesInUse:
    def test_the_revision_id_is_put_behind(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p", heads=("aaaa", "bbbb", "cccc")).settings(file_template="%(year)d_merge")
        (case.files.versions / "aaaa_rev.py").rename(case.files.versions / "2026_merge.py")
        first, second = (file.path.name for file in case.render().files)
        assert (first, second) == ("2026_merge_ba4ee8b292d6.py", "2026_merge_014a8e7d4e03.py")

    def test_two_merges_of_one_run(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p", heads=("aaaa", "bbbb", "cccc")).settings(file_template="%(year)d_merge")
        first, second = (file.path.name for file in case.render().files)
        assert (first, second) == ("2026_merge.py", "2026_merge_014a8e7d4e03.py")

    def test_both_names_in_use(self, tmp_path: Path) -> None:
        case = Case(tmp_path / "p").settings(file_template="merge")
        (case.files.versions / "aaaa_rev.py").rename(case.files.versions / "merge.py")
        (case.files.versions / "bbbb_rev.py").rename(case.files.versions / "merge_ba4ee8b292d6.py")
        with pytest.raises(ConfigurationError) as caught:
            case.render()
        assert caught.value.code == "file-exists"
