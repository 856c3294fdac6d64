"""The containers: what their files promise, and, in the long form, real ones that answer."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from chain.network import free_port
from hub.client import Hub
from tests.hubs import ADA, until
from zk.files import ROOT

Compose = dict[str, Any]
PACKAGES = {  # of Debian, by the program that the long test needs
    "podman": "podman golang-github-containernetworking-plugin-dnsname iptables",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
}
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PORTS = {"modeller": "MODELLER_PORT", "notebook": "NOTEBOOK_PORT", "hub": "HUB_PORT"}
CLUSTER = {"hub", "postgres", "scheduler", "worker"}
BUILD = 3000  # seconds to install all packages into two images
START = 900  # seconds to build both circuits on a busy machine


def compose_file() -> Compose:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def flaws(compose: Compose) -> list[str]:
    """Return the unsafe settings of the services."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = []
    for name, service in compose["services"].items():
        image, tag = service["image"].rsplit(":", 1) if ":" in service["image"] else ("", "")
        variables = service.get("environment", {}).items()
        secret = [value for key, value in variables if re.search("TOKEN|PASSWORD", key)]
        checks = {
            "runs as root": re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")),
            "can write to its root": service.get("read_only") is True,
            "has capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
            "is privileged": "privileged" not in service and "network_mode" not in service,
            "can gain privileges": "no-new-privileges:true" in service.get("security_opt", []),
            "has no health check": service.get("healthcheck", {}).get("test"),
            "is open to others": all(
                port.startswith("127.0.0.1:") for port in service.get("ports", [])
            ),
            "has no pinned image": re.match(r"\d", tag),
            "has another version": tag == version or not image.startswith("verdict-"),
            "has a secret": all(re.fullmatch(r"\$\{\w+:-\}", value) for value in secret),
            "sees files of the machine": all(
                re.match(r"[a-z]+:/", volume) for volume in service.get("volumes", [])
            ),
            "publishes a port": name in PORTS or "ports" not in service,
            "is in a wrong network": (service.get("networks") == ["cluster"]) == (name in CLUSTER),
        }
        found += [f"{name} {flaw}" for flaw, passed in checks.items() if not passed]
    for name, network in compose["networks"].items():
        if (network or {}).get("driver_opts") != {"isolate": "true"}:
            found.append(f"the network {name} is not isolated")
    return found


def test_services_are_locked_down():
    compose = compose_file()
    assert set(compose["services"]) == CLUSTER | set(PORTS)
    assert flaws(compose) == []


@pytest.mark.parametrize(
    ("service", "change", "flaw"),
    [
        ("hub", {"user": "0:0"}, "hub runs as root"),
        ("hub", {"user": ""}, "hub runs as root"),
        ("modeller", {"read_only": False}, "modeller can write to its root"),
        ("modeller", {"cap_drop": []}, "modeller has capabilities"),
        ("modeller", {"cap_add": ["SYS_ADMIN"]}, "modeller has capabilities"),
        ("worker", {"privileged": True}, "worker is privileged"),
        ("worker", {"network_mode": "host"}, "worker is privileged"),
        ("postgres", {"security_opt": []}, "postgres can gain privileges"),
        ("notebook", {"healthcheck": {}}, "notebook has no health check"),
        ("notebook", {"ports": ["8888:8888"]}, "notebook is open to others"),
        ("notebook", {"ports": ["0.0.0.0:8888:8888"]}, "notebook is open to others"),
        ("postgres", {"image": "postgres"}, "postgres has no pinned image"),
        ("postgres", {"image": "postgres:latest"}, "postgres has no pinned image"),
        ("hub", {"image": "verdict-hub:0.0.1"}, "hub has another version"),
        ("postgres", {"environment": {"POSTGRES_PASSWORD": "pass"}}, "postgres has a secret"),
        ("notebook", {"environment": {"JUPYTER_TOKEN": "${A:-b}"}}, "notebook has a secret"),
        ("modeller", {"volumes": ["/etc:/data"]}, "modeller sees files of the machine"),
        ("modeller", {"volumes": [".:/data"]}, "modeller sees files of the machine"),
        ("scheduler", {"ports": ["127.0.0.1:1:1"]}, "scheduler publishes a port"),
        ("scheduler", {"networks": ["default"]}, "scheduler is in a wrong network"),
        ("notebook", {"networks": ["cluster"]}, "notebook is in a wrong network"),
    ],
)
def test_unsafe_service_is_noticed(service: str, change: dict[str, Any], flaw: str):
    compose = copy.deepcopy(compose_file())
    compose["services"][service] |= change
    assert flaws(compose) == [flaw]


def test_open_network_is_noticed():
    compose = compose_file()
    compose["networks"]["cluster"] = None
    assert flaws(compose) == ["the network cluster is not isolated"]


def stages(containerfile: str) -> dict[str, list[str]]:
    """The instructions of each stage, after those of the stage that it begins with."""
    found: dict[str, list[str]] = {}
    for line in containerfile.splitlines():
        if begins := re.fullmatch(r"FROM (\S+) AS (\w+)", line):
            lines = found[begins[2]] = list(found.get(begins[1], []))
        elif found:
            lines.append(line)
    return found


def user_of(lines: list[str]) -> str:
    return [line for line in lines if line.startswith("USER ")][-1]


def test_images_end_as_the_user_of_the_services():
    found = stages((ROOT / "Containerfile").read_text())
    for name, service in compose_file()["services"].items():
        if "build" in service:
            lines = found[service["build"]["target"]]
            assert user_of(lines) == f"USER {service['user'].split(':')[0]}", name
            assert any(line.startswith("HEALTHCHECK ") for line in lines), name


def test_user_of_an_image_is_its_last():
    found = stages("FROM a AS b\nUSER 1\nFROM b AS c\nUSER 0\nFROM b AS d\nRUN true\n")
    assert {name: user_of(lines) for name, lines in found.items()} == {
        "b": "USER 1",
        "c": "USER 0",
        "d": "USER 1",
    }


def test_images_get_the_code_and_nothing_private():
    """Only named files enter the images, so a new folder of code must be named."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    named = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    code = {path.parent.name for path in ROOT.glob("[a-z]*/*.py")} - {"tests"}
    assert code - named == set()
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert named & {line.strip("/") for line in ignored} == set()
    private = {"contracts/verifiers/", "web/dist/", "__pycache__/", "*.private.*"}
    assert private <= set(ignored)
    assert {line.strip("/") for line in private} <= {line.removeprefix("**/") for line in lines}


class Containers:
    """podman and podman-compose, with a storage, a project and ports of their own."""

    def __init__(self, folder: Path) -> None:
        missing = [
            name for program, name in PACKAGES.items() if not shutil.which(program, path=PATH)
        ]
        if missing:
            pytest.fail(f"Containers need programs: run `apt install {' '.join(missing)}`.")
        if not shutil.which("podman-compose", path=PATH):
            pytest.fail("There is no podman-compose: run `pip install podman-compose==1.6.0`.")
        configuration = folder / "containers.conf"
        # crun, Debian's default, fails in machines that are containers themselves.
        configuration.write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            '[engine]\nruntime = "runc"\n'
        )
        storage = folder / "storage.conf"
        storage.write_text(
            '[storage]\ndriver = "overlay"\n'
            f'graphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )
        self.folder = folder
        self.ports = {variable: str(free_port()) for variable in PORTS.values()}
        self.environment = {
            **os.environ,
            **self.ports,
            "PATH": PATH,
            "CONTAINERS_CONF": str(configuration),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDAH_FORMAT": "docker",  # the other one has no health checks
            "JUPYTER_TOKEN": "secret",
        }
        # `remove` empties the storage: make sure that it is not the user's.
        used = self.run("podman", "info", "--format", "{{.Store.GraphRoot}}").strip()
        assert used == f"{folder}/images"

    def run(self, *words: str, seconds: float = 120) -> str:
        """Run a command to its end; return what it prints."""
        result = subprocess.run(
            words, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=seconds
        )
        assert result.returncode == 0, f"{shlex.join(words)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def compose(self, *words: str, seconds: float = 120) -> str:
        project = ("--project-name", "verdict-test")
        return self.run("podman-compose", *project, *words, seconds=seconds)

    def inside(self, service: str, *words: str) -> str:
        return self.run("podman", "exec", f"verdict-test_{service}_1", *words)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[PORTS[service]]}"

    def build(self) -> None:
        """Build both images on Debian, from the sources of packages that this machine uses."""
        base, packages = self.folder / "base.tar", "python3,python3-venv,ca-certificates"
        words = ("--variant=minbase", f"--include={packages}", "bookworm", str(base))
        self.run("mmdebstrap", *words, seconds=BUILD)
        self.run("podman", "import", str(base), "localhost/verdict-base:bookworm")
        base.unlink()
        arguments, mounts = sources(os.environ)
        options = ["--network=host", *mounts]
        self.compose(
            *("--parallel=1", *(f"--podman-build-args={option}" for option in options)),
            *("build", "--build-arg=BASE=localhost/verdict-base:bookworm", *arguments),
            *("hub", "modeller"),
            seconds=BUILD,
        )

    def remove(self) -> None:
        with suppress(AssertionError, subprocess.TimeoutExpired):  # `podman rm` does the rest
            self.compose("down", "--volumes", "--timeout", "5")
        self.run("podman", "rm", "--all", "--force", "--volumes")
        self.run("podman", "rmi", "--all", "--force")


def sources(environment: Any) -> tuple[list[str], list[str]]:
    """Where pip and npm find packages: arguments of a build, and mounts of the paths in them."""
    pattern = re.compile(r"PIP_\w+|NPM_CONFIG_\w+|NODE_EXTRA_CA_CERTS|\w+_proxy", re.IGNORECASE)
    found = {name: value for name, value in environment.items() if pattern.fullmatch(name)}
    words = {word.removeprefix("file://") for value in found.values() for word in value.split()}
    paths = sorted(word for word in words if word.startswith("/") and Path(word).exists())
    arguments = [f"--build-arg={name}={value}" for name, value in found.items()]
    return arguments, [f"--volume={path}:{path}:ro" for path in paths]


def test_sources_of_packages_are_passed_on(tmp_path: Path):
    environment = {"PIP_FIND_LINKS": f"file://{tmp_path} https://a.example", "HOME": "/"}
    arguments, mounts = sources(environment | {"https_proxy": "http://b.example"})
    assert arguments == [
        f"--build-arg=PIP_FIND_LINKS=file://{tmp_path} https://a.example",
        "--build-arg=https_proxy=http://b.example",
    ]
    assert mounts == [f"--volume={tmp_path}:{tmp_path}:ro"]


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.test_containers.PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=r"`apt install podman .* runc mmdebstrap`"):
        Containers(tmp_path)


@pytest.fixture
def containers() -> Iterator[Containers]:
    with tempfile.TemporaryDirectory(prefix="verdict-", ignore_cleanup_errors=True) as folder:
        made = Containers(Path(folder))
        try:
            made.build()
            yield made
        finally:
            made.remove()


def answers(url: str) -> requests.Response:
    """Wait for an answer that is no error."""

    def answer() -> requests.Response | None:
        with suppress(requests.RequestException):
            return requests.get(url, timeout=5)
        return None

    return until(answer, f"{url} answers", START)


@pytest.mark.full
def test_services_answer_on_their_ports(containers, views):
    said = containers.compose("run", "-T", "--rm", "hub", "ape", "run", "hub", "--new-token", "ada")
    token = re.search(r"token of ada, shown only once: (\S+)", said)
    assert token
    containers.compose("up", "--detach", "--no-build", *PORTS, seconds=START)
    hub, notebook = containers.url("hub"), containers.url("notebook")

    assert answers(f"{containers.url('modeller')}/healthz").json()["state"] in ("working", "ready")
    assert "<html" in answers(containers.url("modeller")).text
    assert answers(f"{notebook}/api").json()["version"]
    assert requests.get(f"{notebook}/api/contents", timeout=5).status_code == 403
    assert answers(f"{notebook}/api/contents/notebooks/mnist.ipynb?token=secret").ok
    assert answers(f"{hub}/healthz").ok
    assert "<html" in answers(hub).text
    assert requests.post(f"{hub}/v1/circuits/clan-groth16/proofs", timeout=5).status_code == 401
    assert Hub(hub, token[1]).prove("clan-groth16", ADA, views[0]).instances

    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    where = containers.run("podman", "inspect", "--format", address, "verdict-test_hub_1").strip()
    ask = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
    containers.inside("hub", "python", "-c", ask, f"http://{where}:8000/healthz")
    with pytest.raises(AssertionError, match="timed out"):
        containers.inside("notebook", "python", "-c", ask, f"http://{where}:8000/healthz")

    for service in PORTS:
        containers.run("podman", "healthcheck", "run", f"verdict-test_{service}_1")
        assert containers.inside(service, "id", "-u").strip() == "10001"
        refused = containers.inside(service, "sh", "-c", "touch /verdict/new 2>&1 || true")
        assert "Read-only file system" in refused
        assert "CapEff:\t0000000000000000" in containers.inside(service, "cat", "/proc/1/status")
