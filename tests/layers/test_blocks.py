import pytest
import torch

from nicodec.layers.blocks import Basis, ResidualBlock


def trained(scaled: bool) -> ResidualBlock:
    torch.manual_seed(0)
    block = ResidualBlock(16, scaled=scaled)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block.eval()


@pytest.mark.parametrize("scaled", [False, True])
def test_a_batch_of_qualities_gives_what_each_gives_alone(scaled: bool) -> None:
    block, x, quality = trained(scaled), torch.randn(3, 16, 5, 6), torch.tensor([0, 87, 200])
    with torch.inference_mode():
        together = block(x, quality)
        alone = torch.cat([block(x[i : i + 1], quality[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(block(x[:1], quality[:1]), block(x[:1], quality[1:2]), atol=1e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_branch_alone_runs_in_bfloat16(scaled: bool) -> None:
    block, x, quality = trained(scaled), torch.randn(1, 16, 5, 6), torch.tensor([40])
    with torch.inference_mode():
        exact = block(x, quality)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = block(x, quality)
    assert short.dtype == torch.float32
    assert (short - exact).abs().max() < 0.02 * (exact - x).abs().max()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_result_that_takes_the_place_of_its_input_is_the_same(
    scaled: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, x, quality = trained(scaled), torch.randn(2, 16, 9, 6), torch.tensor([40, 180])
    x = x.contiguous(memory_format=torch.channels_last)
    for name in ("WHOLE_PLACES", "STRIP_PLACES"):
        monkeypatch.setattr(f"nicodec.layers.blocks.{name}", 6 * rows)
    with torch.inference_mode():
        expected, given = block(x, quality), x.clone()
        torch.testing.assert_close(block.overwrite(given, quality), expected)
    torch.testing.assert_close(block.overwrite(x, quality), expected)  # where gradients are, it is left alone
    assert not torch.equal(given, x)


def test_an_untrained_block_is_the_identity() -> None:
    block, x = ResidualBlock(16, scaled=True), torch.randn(1, 16, 5, 6)
    assert torch.equal(block(x, torch.tensor([100])), x)


def test_a_basis_starts_as_its_matrix_whatever_its_inputs_scale() -> None:
    layer, matrix, bias, x = Basis(6, 4), torch.randn(4, 6), torch.randn(4), torch.randn(2, 6, 3, 5)
    layer.set_matrix(matrix, bias, torch.tensor([0.1, 0.5, 1, 2, 4, 8]))
    expected = torch.einsum("oi,bihw->bohw", matrix, x) + bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("scaled", [False, True])
def test_bounds_hold_and_do_not_touch_what_is_inside(scaled: bool) -> None:
    block, x, quality = trained(scaled), torch.randn(1, 16, 5, 6), torch.tensor([40])
    free = block(x, quality).detach()
    added = (free - x).abs().amax()
    block.output_bound.fill_(float(added) * 1.01)
    block.input_bound.fill_(float(block.branch_input(x, quality).detach().abs().amax()) * 1.01)
    torch.testing.assert_close(block(x, quality), free)
    wild = 1e4 * x
    assert (block(wild, quality) - wild).abs().amax() <= 1.02 * added + 1e-3
