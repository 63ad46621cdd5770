"""What was compiled of a method is kept as a file, and found by the next start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ditto_avatar.face.ditto.runtime import kept_graphs as module
from ditto_avatar.face.ditto.runtime.kept_graphs import KeptMethod, graphs_folder
from ditto_avatar.face.ditto.runtime.verdicts import Verdicts


class Scaled(nn.Module):
    """Two outputs, so that a compiled method may have several."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor), requires_grad=False)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.factor * x + y, x.sum()


class Compiler:
    """torch's own, which counts for how many layouts it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, function: Any) -> Any:
        compiled = torch.compile(function, backend="eager", fullgraph=True, dynamic=False)
        ahead = getattr(compiled, "aot_compile", None)
        if ahead is None:  # torch 2.11 has it only where it is switched on
            return compiled

        def counted(example: Any) -> Any:
            self.asked += 1
            return ahead(example)

        compiled.aot_compile = counted  # type: ignore[attr-defined]
        return compiled


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def inputs(count: int = 2) -> tuple[Tensor, Tensor]:
    return torch.arange(3.0 * count).reshape(count, 3), torch.ones(count, 3)


def right(result: Any, factor: float, count: int = 2) -> bool:
    x, y = inputs(count)
    return torch.equal(result[0], factor * x + y) and torch.equal(result[1], x.sum())


def kept(folder: Path, compiler: Any, factor: float = 2.0) -> KeptMethod:
    return KeptMethod(Scaled(factor), "forward", compiler, folder, "small")


def test_the_next_start_finds_what_was_compiled(tmp_path: Path) -> None:
    first, second = Compiler(), Compiler()
    assert right(kept(tmp_path, first)(*inputs()), 2)
    method = kept(tmp_path, second)
    assert right(method(*inputs()), 2)
    assert right(method(*inputs()), 2)
    assert (first.asked, second.asked) == (1, 0)
    assert [path.name.split(".")[:3] for path in tmp_path.iterdir()] == [
        ["small", "Scaled", "forward"]
    ]


def test_weights_are_no_part_of_a_file(tmp_path: Path) -> None:
    compiler = Compiler()
    for factor in (2.0, 5.0):
        assert right(kept(tmp_path, compiler, factor)(*inputs()), factor)
    assert compiler.asked == 1


def test_each_layout_is_compiled_and_kept(tmp_path: Path) -> None:
    compiler = Compiler()
    method = kept(tmp_path, compiler)
    for count in (2, 3, 2):
        assert right(method(*inputs(count)), 2, count)
    x, y = inputs(3)
    turned = x.t().contiguous().t()
    assert torch.equal(method(turned, y)[0], 2 * x + y)
    assert compiler.asked == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_process_with_other_threads_finds_it_too(tmp_path: Path) -> None:
    """A child compiles with one, the server draws with more."""
    compiler, before = Compiler(), torch.get_num_threads()
    method = kept(tmp_path, compiler)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert right(method(*inputs()), 2)
            assert right(kept(tmp_path, compiler)(*inputs()), 2)
    finally:
        torch.set_num_threads(before)
    assert compiler.asked == 1


@pytest.mark.parametrize("first_once", [True, False])
def test_one_tensor_given_twice_is_a_layout_of_its_own(tmp_path: Path, first_once: bool) -> None:
    """A compiler takes for granted that both are the same."""
    compiler = Compiler()
    x, _ = inputs()
    calls = [(x, x), (x, x + 1)]
    for one, other in calls if first_once else reversed(calls):
        assert torch.equal(kept(tmp_path, compiler)(one, other)[0], 2 * one + other)
    assert compiler.asked == 2


def test_settings_tell_files_apart(tmp_path: Path) -> None:
    compiler = Compiler()
    for settings in ("half", "single", "half"):
        method = KeptMethod(Scaled(2.0), "forward", compiler, tmp_path, "small", settings)
        assert right(method(*inputs()), 2)
    assert compiler.asked == 2


@pytest.mark.parametrize("content", [b"", b"no pickle"], ids=["empty", "damaged"])
def test_a_damaged_file_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    compiler = Compiler()
    kept(tmp_path, compiler)(*inputs())
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert right(kept(tmp_path, compiler)(*inputs()), 2)
    assert f"The graph {path} cannot be used" in caplog.text
    assert right(kept(tmp_path, compiler)(*inputs()), 2)
    assert compiler.asked == 2


def test_without_room_for_files_it_is_compiled_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert right(kept(tmp_path / "file" / "graphs", Compiler())(*inputs()), 2)
    assert "is not kept" in caplog.text


def test_what_cannot_be_saved_is_compiled_once_and_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Unsaved(Compiler):
        def __call__(self, function: Any) -> Any:
            compiled = super().__call__(function)
            ahead = compiled.aot_compile

            def unsaved(example: Any) -> Any:
                made = ahead(example)

                def save(path: str) -> None:
                    Path(path).write_bytes(b"half a file")
                    raise RuntimeError("no more room")

                made.save_compiled_function = save
                return made

            compiled.aot_compile = unsaved
            return compiled

    compiler = Unsaved()
    method = kept(tmp_path, compiler)
    for _ in range(2):
        assert right(method(*inputs()), 2)
    assert compiler.asked == 1
    assert "no more room" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_card_without_room_compiles_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = Compiler()
    kept(tmp_path, compiler)(*inputs())

    class Full:
        def disable_guard_check(self) -> None: ...

        def __call__(self, *_: Any) -> Any:
            raise torch.OutOfMemoryError("no more room")

    monkeypatch.setattr(torch.compiler, "load_compiled_function", lambda _: Full())
    with pytest.raises(torch.OutOfMemoryError):
        kept(tmp_path, compiler)(*inputs())
    assert compiler.asked == 1


def test_every_user_of_the_folder_may_read_a_graph(tmp_path: Path) -> None:
    kept(tmp_path, Compiler())(*inputs())
    (path,) = tmp_path.iterdir()
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_torch_that_keeps_nothing_compiles_as_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = partial(torch.compile, backend="eager", fullgraph=True)

    class Old:
        def __init__(self, function: Any) -> None:
            self.call = plain(function)

        def __call__(self, *arguments: Any) -> Any:
            return self.call(*arguments)

    method = kept(tmp_path, Old)
    for count in (2, 3):
        assert right(method(*inputs(count)), 2, count)
    assert caplog.text.count("has no attribute 'aot_compile'") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_method_itself_is_raised(tmp_path: Path) -> None:
    x, _ = inputs(2)
    _, y = inputs(4)
    with pytest.raises(RuntimeError, match=r"size|length"):
        kept(tmp_path, Compiler())(x, y)


def test_graphs_of_other_surroundings_lie_in_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = [Verdicts(tmp_path / "verdicts", {"card": card}) for card in ("one", "two", "one")]
    first, second, again = map(graphs_folder, verdicts)
    assert first is not None
    assert first == again != second
    assert first.parent == tmp_path / "graphs"
    assert graphs_folder(Verdicts()) is None
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    assert graphs_folder(verdicts[0]) == first
    monkeypatch.setenv("TORCHINDUCTOR_MAX_AUTOTUNE", "1")
    assert graphs_folder(verdicts[0]) not in (None, first, second)


def test_folders_that_were_not_used_for_long_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOLDERS", 2)

    def used(card: str, at_s: int) -> Path:
        folder = graphs_folder(Verdicts(tmp_path / "verdicts", {"card": card}))
        assert folder is not None
        (folder / "some.graph").write_bytes(b"")
        os.utime(folder, (at_s, at_s))
        return folder

    old, older = used("old", 2), used("older", 1)
    new = used("new", 3)
    assert (old.exists(), older.exists(), new.exists()) == (True, False, True)


def test_a_folder_of_graphs_that_cannot_be_made_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "graphs").write_bytes(b"")
    assert graphs_folder(Verdicts(tmp_path / "verdicts", {})) is None
    assert "cannot be kept" in caplog.text
