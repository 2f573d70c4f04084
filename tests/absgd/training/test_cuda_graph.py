"""The streams on which `CudaGraphRecorder` captures, with a fake of torch's CUDA interface; no GPU is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from absgd.training.cuda_graph import WARM_UP_STEPS, CudaGraphRecorder


class Stream:
    """A stream that records the streams it waited for."""

    def __init__(self, device: str = "cuda:0") -> None:
        self.device, self.waited_for = device, list[Stream]()

    def wait_stream(self, other: Stream) -> None:
        self.waited_for.append(other)


class Cuda:
    """A fake of `torch.cuda`: the current stream, and the streams on which graphs were captured."""

    def __init__(self) -> None:
        self.default = self.current = Stream()
        self.captured_on: list[Stream] = []

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, _graph: object, *, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        before, self.current = self.current, stream
        self.captured_on.append(stream)
        yield
        self.current = before  # not after an error, as in torch 2.14 when the capture cannot be ended


class Graph:
    def replay(self) -> None: ...


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    fake = Cuda()
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: fake.current)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda _device: fake.default)
    monkeypatch.setattr(torch.cuda, "stream", fake.stream)
    monkeypatch.setattr(torch.cuda, "graph", fake.graph)
    return fake


def test_each_recorder_captures_where_it_warmed_up_and_no_other_does(cuda: Cuda) -> None:
    seen: list[Stream] = []
    for _ in range(2):
        recorder = CudaGraphRecorder()
        recorder.warm_up(lambda: seen.append(cuda.current))
        recorder.capture(lambda: None)
    first, second = cuda.captured_on
    assert seen == [first] * WARM_UP_STEPS + [second] * WARM_UP_STEPS
    assert len({id(stream) for stream in (first, second, cuda.default)}) == 3
    assert first.waited_for == [cuda.default]
    assert cuda.default.waited_for == [first, second]


def test_run_with_its_own_stream_is_captured_on_it(cuda: Cuda) -> None:
    own = Stream()
    with cuda.stream(own):
        recorder = CudaGraphRecorder()
        recorder.warm_up(lambda: None)
        recorder.capture(lambda: None)
    assert cuda.captured_on == [own]


def test_failed_capture_restores_the_stream(cuda: Cuda) -> None:
    def body() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        CudaGraphRecorder().capture(body)
    assert cuda.current is cuda.default
