"""Products of matrices in extraction: by the faster library, never less exact, and the setting is taken back."""

from __future__ import annotations

import pytest
import torch

from upstreams.extraction import products


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_gains", lambda: True)


def test_products_within_are_as_exact_as_outside() -> None:
    assert products.exact()
    with products.fast():
        assert products.exact()


def test_rounded_products_are_told_from_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    linear, bmm = torch.nn.functional.linear, torch.bmm
    half = torch.bfloat16
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", lambda a, b, c: linear(a.to(half), b.to(half), c.to(half)))
        assert not products.exact()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "bmm", lambda a, b: bmm(a.to(half), b.to(half)))
        assert not products.exact()
    assert products.exact()


@pytest.mark.usefixtures("gaining")
def test_the_setting_is_taken_back_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), products.fast():
        assert torch.get_float32_matmul_precision() == "medium"
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.usefixtures("gaining")
def test_another_choice_of_precision_stays() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with products.fast():
            assert torch.get_float32_matmul_precision() == "high"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_where_nothing_is_gained_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_of_amd", lambda: False)
    products._gains.cache_clear()
    try:
        with products.fast():
            assert torch.get_float32_matmul_precision() == "highest"
    finally:
        products._gains.cache_clear()
