"""Calls of compiled loops, with one thread and several."""

from __future__ import annotations

import gc
import platform

import pytest
import torch

pytest.importorskip("numba")
from gnnpot.kernels import calls
from gnnpot.kernels.calls import Call
from gnnpot.kernels.compiled import compiled


@compiled
def scale(begin, end, x, factor, shift, marks, out):
    """Multiples of the rows of x, and how often each row was taken."""
    for row in range(begin, end):
        marks[row] += 1
        for column in range(x.shape[1]):
            out[row, column] = factor * x[row, column] + shift


@pytest.fixture(params=["torch's threads", "a pool"])
def threads(request, monkeypatch):
    """Sets a number of threads, each for a single item already."""
    if request.param == "a pool":
        monkeypatch.setattr(calls, "_fork", lambda: None)
    elif calls._fork() is None:
        pytest.skip("torch was built without GNU's OpenMP")
    monkeypatch.setattr(calls, "_GRAIN", 1)
    monkeypatch.setattr(calls, "_LARGE", 0)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_each_item_is_taken_once(number, rows, threads):
    threads(number)
    x, marks = torch.randn(rows, 3), torch.zeros(rows, dtype=torch.int64)
    out = torch.full_like(x, torch.nan)
    Call(scale, rows, (x, 2.5, 3, marks, out))()
    assert torch.equal(marks, torch.ones_like(marks))
    torch.testing.assert_close(out, 2.5 * x + 3)


def forms(dtype: torch.dtype) -> list[torch.Tensor]:
    x = torch.arange(24).to(dtype)
    return [
        x.view(6, 4),
        x.view(4, 6).mT,
        x.view(3, 8)[:, ::2],
        x.view(3, 2, 4)[:, 1],
        x[:3, None].expand(3, 5),
    ]


@pytest.mark.parametrize("form", range(5))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.int32, torch.bool])
def test_arrays_are_taken_as_they_lie_in_memory(dtype, form, threads):
    threads(2)
    x = forms(dtype)[form]
    marks, out = torch.zeros(len(x), dtype=torch.int32), torch.empty(x.shape, dtype=torch.float64)
    Call(scale, len(x), (x, 2.0, 0.5, marks, out))()
    torch.testing.assert_close(out, 2 * x.double() + 0.5)


def test_a_call_can_be_repeated_on_other_numbers_in_its_memory():
    x, marks, out = torch.ones(70000, 1), torch.zeros(70000, dtype=torch.int64), torch.empty(70000, 1)
    call = Call(scale, len(x), (x.view(-1, 1), 3.0, 0.0, marks, out))
    address = x.data_ptr()
    call()
    x.fill_(2)
    call()
    assert (out == 6).all()
    del x
    gc.collect()
    others = [torch.zeros(70000, 1) for _ in range(5)]
    assert address not in [part.data_ptr() for part in others]
    call()
    assert (out == 6).all()


def test_no_items_and_empty_arrays_are_taken():
    x, marks = torch.empty(0, 3), torch.empty(0, dtype=torch.int64)
    Call(scale, 0, (x, 1.0, 0.0, marks, x))()


def test_the_work_is_shared_where_it_is_large(monkeypatch):
    shared = []
    monkeypatch.setattr(calls, "_fork", lambda: lambda *arguments: shared.append(arguments[2]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for rows in (4, 20000):
        x, marks = torch.ones(rows, 1), torch.zeros(rows, dtype=torch.int64)
        Call(scale, rows, (x, 1.0, 0.0, marks, x.clone()))()
    assert shared == [2]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="others are not told to")
@pytest.mark.parametrize("number", [1, 2])
def test_numbers_too_small_for_all_their_digits_are_zeros_in_loops_alone(number, threads):
    threads(number)
    tiny, marks = torch.full((8, 3), 1e-40), torch.zeros(8, dtype=torch.int64)
    small, out = torch.full_like(tiny, 1e-30), torch.ones_like(tiny)
    Call(scale, 8, (tiny, 1.0, 0, marks, out))()
    assert not out.any()
    Call(scale, 8, (small, 1e-10, 0, marks, out.fill_(1)))()
    assert not out.any()
    assert (small * 1e-10).all()
