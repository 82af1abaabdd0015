"""Slurm scripts, Dockerfiles and Kubernetes manifests of launch profiles, checked by the programs that read them.

Silently wrong would be a file that looks right and is refused where it is used, hours later and by somebody else: a
field that Kubernetes drops, a directive that Slurm never reads because a command stands before it, a container without
Vulkan, or a script path that the shell takes for something else.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import run

from torchmultiverse.errors import SpecError
from torchmultiverse.profiles import (
    TARGETS,
    Deployment,
    Profile,
    changed,
    file_name,
    load_profile,
    made,
    save_profile,
    template,
)

EXAMPLES = Path(__file__).parents[2] / "unreal_bridge" / "templates"
MINE = made(script="/games/my-env/Linux/Game.sh", gpus=[0, 1], per_gpu=2, dialect="tmv")
WHAT = Deployment(spec="my.json", data="data/my", tasks=4, image="registry.example/my-env:1")
AWKWARD = changed(
    made(script="/games/it's; $(touch x) `y` \"z\" %a/Linux dir/Ga me.sh", gpus=[4, 7]),
    ["arguments=-unattended '-ExecCmds=r.Streaming.PoolSize 1000; quit'", "environment.A=it's \"b\" $HOME {{ x }}"],
)  # fmt: skip
PROFILES = {"my-env": MINE, "a_b.c": AWKWARD, "alone": made(script="/games/Game.sh")}
DIRECTIVES = {
    "array", "cpus-per-task", "gres", "job-name", "mem", "nodes", "ntasks", "output", "requeue", "time"
}  # fmt: skip
"""Options of sbatch(1) that the script uses."""


@pytest.mark.parametrize("target", TARGETS)
def test_the_examples_are_what_the_command_writes(target: Any, home: Path, capsys, monkeypatch) -> None:
    example = EXAMPLES / file_name("my-env", target)
    assert example.read_text() == template("my-env", MINE, target, WHAT), "write it anew: see the README beside it"
    save_profile("my-env", MINE)
    options = ("--spec", WHAT.spec, "--data", WHAT.data, "--tasks", WHAT.tasks, "--image", WHAT.image)
    code, out, _ = run(capsys, monkeypatch, "engine", "template", "my-env", "--for", target, *options)
    assert (code, out) == (0, example.read_text())
    code, _, _ = run(
        capsys, monkeypatch, "engine", "template", "my-env", "--for", target, *options, "--out", home / "x"
    )
    assert (code, (home / "x").read_text()) == (0, example.read_text())


@pytest.mark.parametrize("name", PROFILES)
def test_a_slurm_script(name: str, tmp_path: Path) -> None:
    text = template(name, PROFILES[name], "slurm", WHAT)
    checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    first = next(k for k, line in enumerate(lines) if line and not line.startswith("#"))
    given = {}
    for k, line in enumerate(lines):
        if line.startswith("#SBATCH"):
            assert k < first, "Slurm reads no directive behind the first command"
            found = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line)
            assert found is not None, line
            given[found[1]] = found[2]
    assert set(given) == DIRECTIVES
    assert given["array"] == "0-3"
    assert given["gres"] == f"gpu:{max(len(PROFILES[name].gpus), 1)}"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", given["time"])
    assert re.fullmatch(r"\d+G", given["mem"])
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-"], input=text, text=True, check=True)


@pytest.mark.parametrize("name", PROFILES)
def test_a_slurm_script_does_what_it_says(name: str, tmp_path: Path) -> None:
    """It is run by bash with a program in the place of ours that writes down how it is called."""
    tool = tmp_path / "torchmultiverse"
    tool.write_text(
        '#!/bin/sh\nprintf "%s\\0" "$@" "" >> "$CALLS"\necho "$TORCHMULTIVERSE_CONFIG" >> "$CALLS.folders"\n'
    )
    tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls"), "SLURM_ARRAY_TASK_ID": "3"}
    text = template(name, PROFILES[name], "slurm", WHAT)
    subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, check=True)
    calls = [call.split("\0") for call in (tmp_path / "calls").read_text().strip("\0").split("\0\0")]
    assert [call[:2] for call in calls] == [["engine", "add"], ["engine", "diagnose"], ["render", "my.json"]]
    assert calls[2][2:] == ["--out", "data/my", "--engine", name, "--part", "3/4"]
    assert calls[0][2:4] == [name, PROFILES[name].script]
    (folder,) = set((tmp_path / "calls.folders").read_text().splitlines())
    assert not Path(folder).exists(), "it leaves its folder behind"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls", "calls.folders", "torchmultiverse"]


@pytest.mark.parametrize("name", PROFILES)
def test_the_command_in_a_template_makes_the_same_profile(name: str, home: Path, capsys, monkeypatch) -> None:
    line = next(one for one in template(name, PROFILES[name], "slurm").splitlines() if " engine add " in one)
    words = shlex.split(line)
    script = home / "Game.sh"
    script.touch(0o755)
    words[4] = str(script)
    code, _, err = run(capsys, monkeypatch, *words[1:])
    assert code == 0, err
    wanted = PROFILES[name].model_dump() | {"script": str(script), "gpus": list(range(len(PROFILES[name].gpus)))}
    assert load_profile(name) == made(**wanted)


INSTRUCTIONS = {"ARG", "FROM", "USER", "RUN", "ENV", "COPY", "CMD"}


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: comments out, continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [tuple(line.split(" ", 1)) for line in kept.replace("\\\n", "").splitlines() if line]  # type: ignore[misc]


@pytest.mark.parametrize("name", PROFILES)
def test_a_dockerfile(name: str) -> None:
    """What a linter of Dockerfiles looks at, and what makes a container draw."""
    text = template(name, PROFILES[name], "docker", WHAT)
    assert text.startswith("# syntax=docker/dockerfile:1\n")
    found = instructions(text)
    assert {word for word, _ in found} <= INSTRUCTIONS
    assert [word for word, _ in found][:2] == ["ARG", "FROM"]
    assert [rest for word, rest in found if word == "USER"][-1] not in ("root", "0"), "Unreal refuses to run as root"
    environment = dict(part.split("=", 1) for word, rest in found if word == "ENV" for part in shlex.split(rest))
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "all"
    for word, rest in found:
        if word == "RUN":
            checked = subprocess.run(["sh", "-n"], input=rest, text=True, capture_output=True)
            assert (checked.returncode, checked.stderr) == (0, "")
        if word == "RUN" and "apt-get install" in rest:
            assert "--yes --no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest
            assert "libvulkan1" in rest
    (copied,) = [rest for word, rest in found if word == "COPY"]
    parts = json.loads(copied.partition(" ")[2])
    assert parts == [Path(PROFILES[name].script).parent.name, "/opt/game"]
    assert json.loads(dict(found)["CMD"]) == ["engine", "diagnose", name]
    assert "".join(text).count("/opt/game/") == 1


def test_docker_checks_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode:
        pytest.skip("no Docker daemon is here")
    if subprocess.run([docker, "buildx", "version"], capture_output=True).returncode:
        pytest.skip("this Docker has no buildx, which brings `build --check`")
    (tmp_path / "Dockerfile").write_text(template("my-env", MINE, "docker", WHAT))
    subprocess.run([docker, "build", "--check", str(tmp_path)], check=True)


def manifests(text: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("spec", ["my.json", "spar"])
def test_kubernetes_manifests(name: str, spec: str) -> None:
    """What the objects refer to is there, and the profile in them is one."""
    text = template(name, PROFILES[name], "kubernetes", Deployment(spec=spec, data="data/my", tasks=4))
    profile, claim, job = manifests(text)
    assert [one["kind"] for one in (profile, claim, job)] == ["ConfigMap", "PersistentVolumeClaim", "Job"]
    for one in (profile, claim, job):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", one["metadata"]["name"])
    read = Profile.model_validate_json(json.dumps(without_version(profile["data"][f"{name}.json"])))
    assert read.script == "/opt/game/" + Path(PROFILES[name].script).name
    assert read.instances == PROFILES[name].instances
    assert (read.arguments, read.environment) == (PROFILES[name].arguments, PROFILES[name].environment)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(max(len(PROFILES[name].gpus), 1))
    assert {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "all"} in container["env"]
    assert container["args"][:2] == ["render", "/etc/spec/spec.json" if spec == "my.json" else "spar"]
    assert container["args"][-1] == "--part=$(JOB_COMPLETION_INDEX)/4"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 4
    named = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    assert profile["metadata"]["name"] in named
    claimed = [one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one]
    assert claimed == [claim["metadata"]["name"]]


def without_version(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)
    assert data.pop("schema_version") == Profile.version
    return data


ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
                    "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"}}],
    },
    "/api/v1": {
        "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [
            {"name": "configmaps", "namespaced": True, "kind": "ConfigMap", "verbs": ["create"]},
            {"name": "persistentvolumeclaims", "namespaced": True, "kind": "PersistentVolumeClaim",
             "verbs": ["create"]},
        ],
    },
    "/apis/batch/v1": {
        "kind": "APIResourceList", "groupVersion": "batch/v1",
        "resources": [{"name": "jobs", "namespaced": True, "kind": "Job", "verbs": ["create"]}],
    },
}  # fmt: skip


class Api(BaseHTTPRequestHandler):
    """As much of a Kubernetes API server as `kubectl create --dry-run=client` asks for: what kinds there are."""

    def do_GET(self) -> None:
        answer = ANSWERS.get(self.path.partition("?")[0])
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer or {}).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[list[str]]:
    tool = shutil.which("kubectl")
    if tool is None:
        pytest.skip("kubectl is not here")
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [tool, f"--server=http://127.0.0.1:{server.server_port}", f"--cache-dir={tmp_path / 'kube'}"]
        server.shutdown()


@pytest.mark.parametrize("name", PROFILES)
def test_kubectl_takes_the_manifests(name: str, kubectl: list[str], tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(template(name, PROFILES[name], "kubernetes", WHAT))
    create = [*kubectl, "create", "--dry-run=client", "--validate=false", "-o", "name", "-f", str(file)]
    made_of = subprocess.run(create, capture_output=True, text=True)
    assert made_of.returncode == 0, made_of.stderr
    kinds = [line.partition("/")[0] for line in made_of.stdout.splitlines()]
    assert kinds == ["configmap", "persistentvolumeclaim", "job.batch"]


@pytest.mark.parametrize("name", PROFILES)
def test_kubernetes_knows_every_field_of_the_job(name: str, kubectl: list[str], tmp_path: Path) -> None:
    """kubectl reads the job into its own types and writes it again: a field that it does not know is gone."""
    job = manifests(template(name, PROFILES[name], "kubernetes", WHAT))[2]
    file = tmp_path / "job.json"

    def round_trip() -> Any:
        file.write_text(json.dumps(job))
        command = [kubectl[0], "set", "image", "--local", "-o", "json", "-f", str(file), "render=changed"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    image = ".spec.template.spec.containers[0].image"
    assert lost(job, round_trip()) == [image]
    job["spec"]["template"]["spec"]["volums"] = []
    assert lost(job, round_trip()) == [image, ".spec.template.spec.volums"], "this check finds nothing"


def lost(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Return the places of what is in one JSON value and not in another."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [place]
        return [one for key, value in wanted.items() for one in lost(value, found.get(key), f"{place}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = zip(wanted, found, strict=True)
        return [one for k, (a, b) in enumerate(pairs) for one in lost(a, b, f"{place}[{k}]")]
    return [] if wanted == found else [place]


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"tasks": 0}, "tasks = 0"), ({"spec": "a\nb"}, "spec"), ({"data": ""}, "data"), ({"image": "a b"}, "image")],
)
def test_what_cannot_be(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Deployment(**fields)
    with pytest.raises(SpecError, match="Did you mean 'slurm'"):
        template("my-env", MINE, "slrum")
