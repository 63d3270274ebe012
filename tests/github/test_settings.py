"""Settings from the runner's environment: every value read, every bad one named, no secret shown."""

from __future__ import annotations

import subprocess

import pytest

from converger.errors import EXIT_USAGE
from converger.github.inputs import is_branch_name
from converger.github.settings import BadInputs, Inputs, input_names, read_settings
from tests.github.environment import RUNNER, TOKEN, environment, settings

URL = "postgresql://someone:pa55word@postgres:5432/postgres"


def findings(**inputs: str) -> dict[str, str]:
    with pytest.raises(BadInputs) as caught:
        settings(**inputs)
    return dict(caught.value.findings)


def test_nothing_chosen_gives_the_defaults() -> None:
    # The runner sets every input, those that were not chosen to the empty string.
    empty = {f"INPUT_{name.upper()}": "" for name in input_names()}
    assert read_settings({**RUNNER, **empty}).inputs == Inputs()


def test_hyphens_stay_in_the_names_of_variables() -> None:
    assert "INPUT_FROM-REVISION" in environment(from_revision="x")
    assert settings(from_revision="v1.2").inputs.from_revision == "v1.2"


def test_every_input_is_read() -> None:
    chosen = settings(
        mode="pull-request",
        from_revision="origin/main",
        alembic_config="alembic.ini",
        working_directory="./services/api/",
        database_url=URL,
        install="uv sync\nuv pip install x",
        python_version="3.12",
        system_packages="libpq-dev, gcc",
        strategy="single",
        dry_run="TRUE",
        skip_validation="false",
        seed_sql="seed.sql",
        comment="no",
        branch="fix/{base}",
        commit_message="chore(db): {heads}",
        pull_request_title="Merge {count}",
        labels="database, bug\nbot",
        token=TOKEN,
        base_sql="../dump.sql",
        prepare="python -m shop.create",
        env="A=1\nB=x=y\n\nC=",
        database_url_env="DATABASE_URL DB",
        flask_app="shop:create_app",
        command="shop db upgrade {revision}",
        timeout="30",
        proof_budget="2.5",
        require_downgrade="yes",
    ).inputs
    assert chosen == Inputs(
        mode="pull-request",
        from_revision="origin/main",
        alembic_config="alembic.ini",
        working_directory="services/api",
        database_url=URL,
        install="uv sync\nuv pip install x",
        python_version="3.12",
        system_packages=("libpq-dev", "gcc"),
        strategy="single",
        dry_run=True,
        skip_validation=False,
        seed_sql="seed.sql",
        comment=False,
        branch="fix/{base}",
        commit_message="chore(db): {heads}",
        pull_request_title="Merge {count}",
        labels=("database", "bug", "bot"),
        token=TOKEN,
        base_sql="../dump.sql",
        prepare="python -m shop.create",
        env={"A": "1", "B": "x=y", "C": ""},
        database_url_env=("DATABASE_URL", "DB"),
        flask_app="shop:create_app",
        command="shop db upgrade {revision}",
        timeout=30.0,
        proof_budget=2.5,
        require_downgrade=True,
    )


BAD = {
    "mode": "chekc",
    "from_revision": "--output=x",
    "alembic_config": "/etc/passwd",
    "working_directory": "../other",
    "database_url": "not a url",
    "python_version": "3.1",
    "system_packages": "gcc -o=x",
    "strategy": "both",
    "dry_run": "maybe",
    "skip_validation": "2",
    "seed_sql": "../../seed.sql",
    "comment": "always",
    "branch": "a..b",
    "pull_request_title": "two\nlines",
    "labels": "x" * 51,
    "token": "two words",
    "base_sql": "a\nb",
    "prepare": "'open",
    "env": "NAME",
    "database_url_env": "1A",
    "flask_app": "a\x1b[2J",
    "command": "alembic upgrade head",
    "timeout": "0",
    "proof_budget": "nan",
    "require_downgrade": "tru",
}


@pytest.mark.parametrize("value", ["1e300", "inf", "-1", "432001", "1,5"])
def test_seconds(value: str) -> None:
    """What no clock of ours can wait for."""
    assert set(findings(timeout=value, proof_budget="432000")) == {"timeout"}


def test_all_bad_values_are_reported_together() -> None:
    found = findings(**BAD)
    assert set(found) == {name.replace("_", "-") for name in BAD}
    # Those that have no bad value: texts for a shell and for people.
    assert set(input_names()) - set(found) == {"install", "commit-message"}


@pytest.mark.parametrize("name", sorted(BAD))
def test_each_bad_value_is_found_by_itself(name: str) -> None:
    with pytest.raises(BadInputs) as caught:
        settings(**{name: BAD[name]})
    error = caught.value
    assert [finding[0] for finding in error.findings] == [name.replace("_", "-")]
    assert error.exit_code == EXIT_USAGE and error.code == "bad-inputs" and error.hint
    assert str(error).startswith(f"1 input of the action cannot be used: {name.replace('_', '-')}: ")


def test_a_misspelled_input_is_no_silent_nothing() -> None:
    """To the runner it is a warning, and we would write although the workflow says `dry_run: true`."""
    with pytest.raises(BadInputs) as caught:
        read_settings({**environment(), "INPUT_DRY_RUN": "true"})
    assert caught.value.findings == (("dry_run", "there is no such input; did you mean dry-run?"),)
    read_settings({**environment(), "INPUT_ARGS": "", "INPUT_ENTRYPOINT": ""})


def test_no_secret_is_shown() -> None:
    chosen = settings(database_url=URL, env="PASSWORD=hunter22", token=TOKEN)
    for secret in (TOKEN, "pa55word", "hunter22"):
        assert secret not in repr(chosen) and secret not in str(chosen.inputs)
    for bad in (
        {"database_url": "postgresql//someone:pa55word@x"},
        {"database_url": "postgresql://someone:pa55word@host:port/x"},
        {"token": "pa55word pa55word"},
        {"token": "pa55word\npa55word"},
        {"env": "hunter22 pa55word"},
        {"env": "A=1\npa55-word=pa55word"},
    ):
        with pytest.raises(BadInputs) as caught:
            settings(**bad)
        assert "pa55" not in str(caught.value) and "hunter22" not in repr(caught.value.findings)


def test_a_path_must_not_leave_the_repository_by_either_way() -> None:
    assert settings(working_directory="a/b", alembic_config="../c/alembic.ini").inputs.alembic_config
    assert set(findings(working_directory="a/b", alembic_config="../../../x.ini")) == {"alembic-config"}
    assert set(findings(working_directory="a/../../b")) == {"working-directory"}
    assert set(findings(base_sql="..")) == {"base-sql"}


@pytest.mark.parametrize(
    "name", ["-x", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "/a", "a/", "a//b", ".a", "a/.b"]
)
def test_names_that_are_no_branch(name: str) -> None:
    assert set(findings(branch=name)) == {"branch"}


@pytest.mark.parametrize("name", ["a.lock", "a.lock/b", "a.", "a@{b", "@", "HEAD", "{base}", "a\u202eb"])
def test_more_names_that_are_no_branch(name: str) -> None:
    assert set(findings(branch=name)) == {"branch"}


@pytest.mark.parametrize("name", ["x", "a/{base}", "{base}-fix", "é/ü", "a.b", "a@b", "renovate/x_1"])
def test_names_of_branches(name: str) -> None:
    assert settings(branch=name).inputs.branch == name


def test_git_agrees_about_the_names_of_branches() -> None:
    names = "x a/b a.b -x a..b a.lock .a a/.b a/ /a a//b a~ a^ a: a? a* a[ a\\ a@{b a. é HEAD a@b 👩\u200d💻"
    for name in names.split():
        command = ["git", "check-ref-format", "--branch", name]
        said = subprocess.run(command, capture_output=True).returncode == 0
        assert is_branch_name(name) == said, name


@pytest.mark.parametrize("version", ["3.8", "3.12.4", "3.14", "4.0"])
def test_versions_of_python(version: str) -> None:
    assert settings(python_version=version).inputs.python_version == version


@pytest.mark.parametrize("version", ["3", "3.1", "2.7", "3.7", "3.x", ">=3.8", "3.12\n3.13", "pypy3.9"])
def test_no_versions_of_python(version: str) -> None:
    assert set(findings(python_version=version)) == {"python-version"}


def test_what_yaml_does_to_3_10_is_explained() -> None:
    assert "3.10 without quotes" in findings(python_version="3.1")["python-version"]


def test_requiring_what_is_not_looked_at() -> None:
    assert set(findings(skip_validation="true", require_downgrade="true")) == {"require-downgrade"}


def test_the_runner() -> None:
    runner = settings().runner
    assert (runner.repository, runner.event_name, runner.actor) == ("octo/shop", "pull_request", "alice")
    assert (runner.api_url, runner.server_url) == ("https://api.github.com", "https://github.com")
    assert runner.run_url == "https://github.com/octo/shop/actions/runs/123" and runner.run_attempt == 2


def test_github_enterprise_server() -> None:
    urls = {"GITHUB_API_URL": "https://git.example/api/v3", "GITHUB_SERVER_URL": "https://git.example/"}
    runner = read_settings({**environment(), **urls}).runner
    assert runner.api_url == "https://git.example/api/v3"
    assert runner.run_url == "https://git.example/octo/shop/actions/runs/123"


@pytest.mark.parametrize(
    "name", ["GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_WORKSPACE"]
)
def test_outside_of_a_runner(name: str) -> None:
    values = environment()
    del values[name]
    with pytest.raises(BadInputs) as caught:
        read_settings(values)
    assert [finding[0] for finding in caught.value.findings] == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", "octo"),
        ("GITHUB_REPOSITORY", "octo/shop/x"),
        ("GITHUB_REPOSITORY", "octo/.."),
        ("GITHUB_REPOSITORY", "octo/a b"),
        ("GITHUB_API_URL", "ftp://x"),
        ("GITHUB_SERVER_URL", "https://u:p@x"),
        ("GITHUB_SERVER_URL", "https://x/)[](y"),
        ("GITHUB_SERVER_URL", "https://[x"),
    ],
)
def test_a_runner_that_says_odd_things(name: str, value: str) -> None:
    with pytest.raises(BadInputs) as caught:
        read_settings({**environment(), name: value})
    assert [finding[0] for finding in caught.value.findings] == [name]
