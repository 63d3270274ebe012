"""Projects installed for real by uv, without a network: their packages are folders and wheels of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from converger.errors import CouldNotEvaluate
from converger.github.install import Installed, install_project
from converger.github.installer import Places, installer_environment
from converger.github.settings import BadInputs, Inputs
from tests.github.environment import TOKEN, environment

# A build back end in the project itself: what it makes is a wheel that imports the project from where it is.
BACKEND = """
import os, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("shop.pth", os.path.join(os.getcwd(), "src"))
        info = "shop-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "shop.pth,,\\n" + info + "METADATA,,\\n" + info + "WHEEL,,\\n" + info + "RECORD,,\\n")
    return name
"""
PACKAGE = """\
[project]
name = "shop"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


class Project:
    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.into = folder / "into"
        self.said: list[str] = []

    def write(self, name: str, text: str) -> None:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def package(self) -> None:
        self.write("backend.py", BACKEND)
        self.write("pyproject.toml", PACKAGE)
        self.write("src/shop.py", "NAME = 'shop'\n")

    def install(self, *, limit: float = 120, links: Path | None = None, **inputs: object) -> Installed:
        own = environment() | {"UV_OFFLINE": "1", "DATABASE_URL": "production"}
        own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        if links is not None:
            own["UV_FIND_LINKS"] = str(links)
        return install_project(
            Inputs(**inputs),  # type: ignore[arg-type]
            repository=self.repository,
            folder=self.repository,
            into=self.into,
            own=own,
            say=self.said.append,
            limit=limit,
        )

    @property
    def log(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def python_says(installed: Installed, code: str) -> str:
    assert installed.python is not None
    done = subprocess.run(
        [installed.python, "-I", "-B", "-c", code], capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip()


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_requirements_and_the_project_itself(project: Project, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "mail")
    project.write("requirements.txt", f"--no-index\n--find-links {tmp_path / 'wheels'}\nmail==1.0\n")
    project.package()
    before = files_below(project.repository)
    installed = project.install()
    assert installed.source == "requirements.txt" and installed.seconds > 0
    assert python_says(installed, "import mail, shop; print(mail.VERSION, shop.NAME)") == "1.0 shop"
    assert files_below(project.repository) == before, "nothing is left in the workspace"
    assert sorted(os.listdir(project.into)) == ["caches", "environment"]
    assert "$ uv pip install -r requirements.txt" in project.said and str(project.into) not in project.said[0]


def test_a_project_that_cannot_be_built_beside_its_requirements_is_only_said(
    project: Project, tmp_path: Path
) -> None:
    wheel(tmp_path / "wheels", "mail")
    project.write("requirements.txt", f"--no-index\n--find-links {tmp_path / 'wheels'}\nmail\n")
    project.package()
    project.write("backend.py", "raise SystemExit('no way')\n")
    installed = project.install()
    assert python_says(installed, "import mail; print(mail.VERSION)") == "1.0"
    assert any("the project itself is not installed" in line for line in project.said)


def test_a_project_without_requirements_must_be_built(project: Project) -> None:
    project.package()
    installed = project.install()
    assert (
        installed.source == "pyproject.toml"
        and python_says(installed, "import shop; print(shop.NAME)") == "shop"
    )
    project.write("backend.py", "raise SystemExit('the back end said no')\n")
    project.into = project.into.with_name("again")
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install()
    assert raised.value.code == "install-failed" and raised.value.exit_code == 3
    assert "pyproject.toml" in raised.value.message and "the back end said no" in raised.value.message


def test_uv_lock(project: Project, tmp_path: Path) -> None:
    mail = wheel(tmp_path / "wheels", "mail")
    project.package()
    project.write(
        "pyproject.toml",
        PACKAGE.replace('"1.0"\n', '"1.0"\nrequires-python = ">=3.8"\ndependencies = ["mail"]\n', 1)
        + f'[tool.uv.sources]\nmail = {{ path = "{mail}" }}\n',
    )
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "lock", "--quiet", "--offline"], cwd=project.repository, check=True)
    locked = (project.repository / "uv.lock").read_bytes()
    installed = project.install()
    assert installed.source == "uv.lock"
    assert python_says(installed, "import mail, shop; print(mail.VERSION, shop.NAME)") == "1.0 shop"
    assert not (project.repository / ".venv").exists()
    assert (project.repository / "uv.lock").read_bytes() == locked
    # What the lock says counts, not what pyproject.toml would resolve to today.
    project.write("uv.lock", locked.decode().replace('version = "1.0"', 'version = "2.0"'))
    project.into = project.into.with_name("again")
    with pytest.raises(CouldNotEvaluate):
        project.install()


def test_the_workflows_own_command(project: Project, tmp_path: Path) -> None:
    """Several lines, as in a step; the first that fails ends it."""
    wheel(tmp_path / "wheels", "pip", "99")
    wheel(tmp_path / "wheels", "mail")
    # One line each: what is said is cut to a length that a log can bear.
    script = f"""python -c 'import json, os; [print("ENV", json.dumps(one)) for one in os.environ.items()]'
uv pip install --no-index --find-links {tmp_path / "wheels"} mail
false | true
echo never reached"""
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install(install=script, env={"SMTP": "here"}, links=tmp_path / "wheels")
    assert raised.value.code == "install-failed"
    seen = dict(json.loads(line.removeprefix("ENV ")) for line in project.said if line.startswith("ENV "))
    assert seen["VIRTUAL_ENV"] == str(project.into / "environment") and seen["SMTP"] == "here"
    assert not [
        name for name in seen if name.startswith(("INPUT_", "GITHUB_", "ACTIONS_")) or name == "DATABASE_URL"
    ]
    assert TOKEN not in json.dumps(seen)
    assert " + mail==1.0" in project.said and "never reached" not in project.log


def test_none_installs_nothing(project: Project) -> None:
    project.package()
    assert project.install(install="none").python is None
    assert not project.said
    project.into = project.into.with_name("again")
    with pytest.raises(BadInputs):
        project.install(install="none", python_version="3.12")


def test_nothing_says_what_to_install(project: Project) -> None:
    project.write("environment.yml", "name: shop\n")
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install()
    assert raised.value.code == "no-dependencies-found" and "conda" in raised.value.message
    assert "install" in (raised.value.hint or "") and not project.into.exists()


def test_a_python_that_is_not_to_be_had(project: Project) -> None:
    project.package()
    project.write(".python-version", "3.99\n")
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install()
    assert raised.value.code == "python-unavailable"
    assert "3.99" in raised.value.message and ".python-version" in raised.value.message
    # The input counts more.
    project.into = project.into.with_name("again")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    installed = project.install(python_version=version)
    assert python_says(installed, "import sys; print('%d.%d' % sys.version_info[:2])") == version


@pytest.mark.parametrize("text", ["3.7", "<3.8"])
def test_a_python_that_is_too_old(project: Project, text: str) -> None:
    if text == "3.7":
        project.write(".python-version", "3.7\n")
    else:
        # There may be one here; else uv says that there is none.
        project.write(
            "pyproject.toml", f'[project]\nname = "shop"\nversion = "1"\nrequires-python = "{text}"\n'
        )
    project.write("requirements.txt", "")
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install()
    assert raised.value.code == "python-unavailable" and text in raised.value.message


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("Pipfile", "[packages]\nalembic = '*'\n", "Pipfile.lock"),
        ("pyproject.toml", "[tool.poetry]\nname = 'shop'\n", "[build-system]"),
    ],
)
def test_what_is_there_is_not_enough(project: Project, name: str, text: str, why: str) -> None:
    project.write(name, text)
    with pytest.raises(CouldNotEvaluate) as raised:
        project.install()
    assert raised.value.code == "no-dependencies-found" and f"; {name} is there" in raised.value.message
    assert why in raised.value.message.rpartition(f"; {name}")[2]


def test_the_environment_of_an_installer(tmp_path: Path) -> None:
    own = {
        "PATH": "/bin",
        "HOME": "/github/home",
        "GITHUB_TOKEN": "1",
        "INPUT_TOKEN": "2",
        "ACTIONS_RUNTIME_TOKEN": "3",
        "AWS_SECRET_ACCESS_KEY": "4",
        "PGPASSWORD": "5",
        "UV_PUBLISH_TOKEN": "6",
        "UV_GITHUB_TOKEN": "7",
        "POETRY_PYPI_TOKEN_PYPI": "8",
        "PDM_PUBLISH_PASSWORD": "9",
        "UV_CACHE_DIR": "/elsewhere",
        "UV_INDEX_COMPANY_PASSWORD": "index",
        "PIP_INDEX_URL": "https://company.example/simple",
        "POETRY_HTTP_BASIC_COMPANY_PASSWORD": "poetry",
        "HTTPS_PROXY": "http://proxy.example",
    }
    seen = installer_environment(own, Places(tmp_path), {"SMTP": "here"})
    assert not {"2", "3", "4", "5", "6", "7", "8", "9"} & set(seen.values())
    for name in (
        "GITHUB_TOKEN",
        "INPUT_TOKEN",
        "UV_PUBLISH_TOKEN",
        "UV_GITHUB_TOKEN",
        "PDM_PUBLISH_PASSWORD",
    ):
        assert name not in seen
    assert seen["HOME"].startswith(str(tmp_path)) and seen["UV_CACHE_DIR"].startswith(str(tmp_path))
    assert seen["UV_INDEX_COMPANY_PASSWORD"] == "index" and seen["HTTPS_PROXY"] == "http://proxy.example"
    assert seen["POETRY_HTTP_BASIC_COMPANY_PASSWORD"] == "poetry" and seen["SMTP"] == "here"
