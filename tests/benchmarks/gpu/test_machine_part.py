"""Part 1: what a driver and torch say about a GPU, with stand-ins for both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu.machine_part import TOY, driver_answer, gpu_facts, measured_rates, rate_section


def install_driver(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_driver_is_asked_for_every_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_driver(monkeypatch, tmp_path, "echo 'a card, 580.1, 81559 MiB'; echo 'another, 580.1, 81559 MiB'")
    assert driver_answer() == "a card, 580.1, 81559 MiB; another, 580.1, 81559 MiB"


@pytest.mark.parametrize(
    ("script", "said"), [("echo 'no devices' >&2; exit 6", "no devices"), ("sleep 5", "no answer: ")]
)
def test_driver_that_fails_or_hangs_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    install_driver(monkeypatch, tmp_path, f"PATH=/usr/bin:/bin; {script}")
    monkeypatch.setattr("benchmarks.gpu.machine_part.DRIVER_S", 0.2)
    assert driver_answer().startswith(said)


def test_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_answer() == "nvidia-smi not found"


def test_facts_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(name="a card", major=9, minor=0, multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (70 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert gpu_facts() == {
        "GPU": "a card",
        "GPUs": 1,
        "compute capability": "9.0",
        "multiprocessors": 132,
        "GPU memory": "80.0 GiB, 70.0 GiB free",
        "bfloat16 in hardware": True,
    }


def test_rates_are_positive_and_named_with_their_units() -> None:
    rates = list(measured_rates(torch.device("cpu"), TOY))
    assert [one.unit for one in rates] == ["GB/s", "GB/s", "TFLOP/s", "TFLOP/s"]
    assert all(0 < one.rate[0] <= one.rate[1] <= one.rate[2] for one in rates)
    assert "bfloat16 product of 64 x 64" in rate_section(rates, TOY).lines[2]
