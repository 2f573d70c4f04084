"""The page on clusters and its example files say what is true of this command, of Ray and of KubeRay."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from packaging.requirements import Requirement
from typer.main import get_command

from tune_runs.cli import app
from tune_runs.ray_cluster.watchdog import LIMIT_VARIABLE, lost_message
from tune_runs.request.space_files import shipped_spaces

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/cluster.md").read_text()
SCRIPTS = sorted(path for path in (ROOT / "docs/examples").iterdir() if path.suffix in {".sh", ".sbatch"})
MANIFEST = ROOT / "docs/examples/kuberay-rayjob.yaml"
EXAMPLES = [*SCRIPTS, MANIFEST]


def named(path: Path) -> str:
    return path.name


def test_page_links_to_every_example() -> None:
    assert {f"docs/{link}" for link in re.findall(r"\((examples/[^)]+)\)", PAGE)} == {
        str(path.relative_to(ROOT)) for path in EXAMPLES
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_script_is_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_script_passes_shellcheck(script: Path) -> None:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("needs shellcheck, from `pip install -e '.[dev]'`")
    done = subprocess.run([found, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*EXAMPLES, ROOT / "docs/cluster.md"], ids=named)
def test_every_option_of_the_command_exists(path: Path) -> None:
    known = {option for parameter in get_command(app).params for option in parameter.opts}
    lines = re.findall(r"absgd-tune (--[^;#`\n]*)", path.read_text())
    assert lines
    assert {option for line in lines for option in re.findall(r"(?<!\S)--[a-z-]+", line)} <= known


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_space_that_a_script_searches_by_default_is_shipped(script: Path) -> None:
    (default,) = re.findall(r"^space=\$\{\w+:-(\w+)\}", script.read_text(), re.MULTILINE)
    assert default in shipped_spaces()


class Stand:
    """Stand-ins for the commands of a script, which note how they were called."""

    def __init__(self, folder: Path, **programs: str) -> None:
        self.folder = folder
        self._log = folder / "called.txt"
        (folder / "bin").mkdir()
        for name, body in programs.items():
            program = folder / "bin" / name.replace("_", "-")
            program.write_text(f'#!/usr/bin/env bash\necho "{program.name} $*" >>{self._log}\n{body}\n')
            program.chmod(0o755)

    def start(self, script: Path, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", **variables}
        return subprocess.Popen(["bash", str(script), *words], cwd=self.folder, env=environment)

    def calls(self, program: str) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if line.split()[:1] == [program]]


def begin_run(folder: Path, run: str = "cifar100") -> None:
    (folder / "runs" / run).mkdir(parents=True)
    (folder / "runs" / run / "space.yaml").touch()


def test_one_machine_previews_then_searches_then_resumes(tmp_path: Path) -> None:
    stand = Stand(tmp_path, absgd_tune="")
    script = ROOT / "docs/examples/one-machine.sh"
    assert stand.start(script).wait() == 0
    begin_run(tmp_path)
    assert stand.start(script).wait() == 0
    assert stand.calls("absgd-tune") == [
        "absgd-tune --space cifar100 --preview",
        "absgd-tune --space cifar100 --name cifar100",
        "absgd-tune --resume runs/cifar100",
    ]


def test_existing_cluster_is_joined_with_its_token(tmp_path: Path) -> None:
    stand = Stand(tmp_path, absgd_tune='[ "$RAY_AUTH_MODE $RAY_AUTH_TOKEN_PATH" = "token /t" ]')
    script = ROOT / "docs/examples/existing-cluster.sh"
    assert stand.start(script, "head:1", "/t", "quickstart", "mine").wait() == 0
    begin_run(tmp_path, "mine")
    assert stand.start(script, "head:1", "/t", "quickstart", "mine").wait() == 0
    assert stand.calls("absgd-tune") == [
        "absgd-tune --space quickstart --name mine --address head:1",
        "absgd-tune --resume runs/mine --address head:1",
    ]
    assert stand.start(script).wait() != 0


SLURM = {"SLURM_JOB_ID": "123", "SLURM_NNODES": "2", "SLURM_CPUS_PER_TASK": "16", "SLURM_GPUS_ON_NODE": "4"}
SRUN = """shift 2
for node in 0 1; do SLURM_NODEID=$node "$@"; done
sleep 60 & trap "kill $!" TERM; wait"""


def slurm(folder: Path, search: str) -> Stand:
    """Two nodes; the script's question for them is answered once Ray was started on both."""
    both = f'until [ "$(grep -c "^ray " {folder}/called.txt)" = 2 ]; do sleep 0.05; done'
    python = f'case "$*" in *secrets*) echo -n token ;; *) {both} ;; esac'
    return Stand(folder, srun=SRUN, scontrol="", ray="", python=python, absgd_tune=search, hostname="echo 10.0.0.7")


@pytest.mark.parametrize(
    ("status", "restarts", "requeued"),
    [(0, 0, False), (1, 0, True), (2, 0, False), (130, 0, True), (1, 10, False)],
    ids=["done", "head lost", "refused", "interrupted", "again and again"],
)
def test_slurm_job_goes_back_into_the_queue_where_that_helps(
    tmp_path: Path, status: int, restarts: int, requeued: bool
) -> None:
    stand = slurm(tmp_path, f"exit {status}")
    script = ROOT / "docs/examples/slurm.sbatch"
    assert stand.start(script, **SLURM, SLURM_RESTART_COUNT=str(restarts)).wait(timeout=300) == status
    assert bool(stand.calls("scontrol")) == requeued
    assert stand.calls("absgd-tune") == ["absgd-tune --space cifar100 --name cifar100 --address 10.0.0.7:20123"]
    assert not list(tmp_path.glob(".ray-token*"))
    head, node = stand.calls("ray")
    assert "start --head --node-ip-address 10.0.0.7 --port 20123 " in head
    assert "start --address 10.0.0.7:20123 --num-cpus 16 --num-gpus 4 " in node


def test_slurm_job_forwards_the_signal_to_end_and_resumes(tmp_path: Path) -> None:
    stand = slurm(tmp_path, 'trap "touch saved; exit 130" TERM\ntouch begun\nfor _ in $(seq 600); do sleep 0.1; done')
    begin_run(tmp_path)
    process = stand.start(ROOT / "docs/examples/slurm.sbatch", **SLURM)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) in {130, 143}
    assert (tmp_path / "saved").exists()
    assert stand.calls("absgd-tune") == ["absgd-tune --resume runs/cifar100 --address 10.0.0.7:20123"]
    assert stand.calls("scontrol") == ["scontrol requeue 123"]


CRD = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {
        "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint",
        "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata",
        "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig",
        "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
    },
    "spec.rayClusterSpec": {
        "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
        "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs",
    },
    "spec.rayClusterSpec.authOptions": {"mode", "secretName", "enableK8sTokenAuth"},
    "spec.rayClusterSpec.headGroupSpec": {
        "enableIngress", "headService", "rayStartParams", "serviceType", "template", "resources", "labels",
    },
    "spec.rayClusterSpec.workerGroupSpecs": {
        "groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams",
        "replicas", "resources", "scaleStrategy", "suspend", "template",
    },
}  # fmt: skip
"""Fields of a RayJob in KubeRay 1.5 and 1.6 (ray-operator/apis/ray/v1/rayjob_types.go and raycluster_types.go)."""


def at(tree: Any, path: str) -> list[dict[str, Any]]:
    """The mappings at a dotted path; a list means each of its items."""
    for key in filter(None, path.split(".")):
        tree = tree[key]
    return tree if isinstance(tree, list) else [tree]


@pytest.fixture(scope="module")
def manifest() -> Any:
    return yaml.safe_load(MANIFEST.read_text())


@pytest.mark.parametrize("path", CRD)
def test_manifest_has_only_fields_of_kuberay(manifest: Any, path: str) -> None:
    for mapping in at(manifest, path):
        assert set(mapping) <= CRD[path]


def test_manifest_equals_the_page(manifest: Any) -> None:
    spec = manifest["spec"]
    cluster = spec["rayClusterSpec"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert "absgd-tune --resume runs/search --address auto" in spec["entrypoint"]
    (group,) = cluster["workerGroupSpecs"]
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
    for template in (cluster["headGroupSpec"]["template"], group["template"]):
        (container,) = template["spec"]["containers"]
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == volumes
        assert {"/shared", "/dev/shm"} <= set(mounts)
        assert all(isinstance(variable["value"], str) for variable in container["env"])


def test_manifest_has_a_ray_that_this_release_supports(manifest: Any) -> None:
    import tomllib

    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (supported,) = [one.specifier for one in map(Requirement, dependencies) if one.name == "ray"]
    version = manifest["spec"]["rayClusterSpec"]["rayVersion"]
    assert supported.contains(version)
    assert f"rayproject/ray:{version}-" in MANIFEST.read_text()


def test_every_variable_of_ray_that_the_page_names_is_one() -> None:
    text = PAGE + "".join(path.read_text() for path in EXAMPLES)
    named_variables = set(re.findall(r"\bRAY_([A-Za-z_]+)", text))
    assert {"AUTH_MODE", "AUTH_TOKEN_PATH", "health_check_timeout_ms"} <= named_variables
    folder = Path(ray.__file__).parent
    with (folder / "_raylet.so").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        # The library knows the variables of authentication whole, and those of its settings without RAY_.
        assert [name for name in named_variables if library.find(name.encode()) < 0] == []


def test_times_of_the_page_equal_ray_and_the_watchdog() -> None:
    checks = ray._config
    pause_and_timeout_ms = checks.health_check_period_ms() + checks.health_check_timeout_ms()
    assert checks.health_check_failure_threshold() * pause_and_timeout_ms == 65_000
    assert "65 s are Ray's" in PAGE
    assert f"{LIMIT_VARIABLE}=" in PAGE
    lost = "no answer for 30 s from its head"
    said = lost_message(lost, "10.0.0.7:6379", "absgd-tune --resume runs/cifar100 --address 10.0.0.7:6379")
    assert said in " ".join(PAGE.split())
