"""The AU-Adapter in a diffusers UNet: what it adds, what it leaves alone, what trains."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from tiny_unet import SD15, SD21, tiny_adapter, tiny_unet, unet_inputs
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from au_adapter.facs import SET_A, AUVector
from au_adapter.models.adapter import AUAdapter, AUAdapterConfig, attend
from au_adapter.models.diffusers_unet import apply_to_unet, collect_lora, train_on_unet

SMILE = AUVector.from_dict({12: 4.0, 6: 3.0})


def run(unet: torch.nn.Module, **kwargs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return unet(*unet_inputs(unet), cross_attention_kwargs=kwargs or None).sample


def guided(adapter: AUAdapter, vector: AUVector = SMILE) -> torch.Tensor:
    return torch.cat([adapter.encode_zero(), adapter.encode(vector)]).detach()


@pytest.mark.parametrize("shape", [SD21, SD15], ids=["sd21", "sd15"])
def test_one_token_needs_no_attention(shape: dict) -> None:
    adapter = tiny_adapter(tiny_unet(shape))
    tokens = guided(adapter)
    for path, channels in adapter.config.layers.items():
        query = torch.randn(2, 64, channels)
        key, value = adapter.projection("k", path)(tokens), adapter.projection("v", path)(tokens)
        shortcut = adapter.au_term(path, tokens)
        assert shortcut.shape == (2, 1, channels)
        real = attend(query, key, value, heads=4)
        torch.testing.assert_close(shortcut.expand_as(real), real, atol=1e-6, rtol=0)


def test_several_tokens_get_the_softmax_of_the_layer() -> None:
    adapter = tiny_adapter(tiny_unet(SD21), encoder="individual")
    tokens = adapter.encode(SMILE)
    path, channels = next(iter(adapter.config.layers.items()))
    query, heads = torch.randn(1, 5, channels), 2
    with torch.no_grad():
        term = adapter.au_term(path, tokens, query, heads)
        k, v = adapter.projection("k", path)(tokens), adapter.projection("v", path)(tokens)
    for head in torch.arange(channels).chunk(heads):
        weights = (query[0, :, head] @ k[0, :, head].T / len(head) ** 0.5).softmax(-1)
        torch.testing.assert_close(term[0, :, head], weights @ v[0, :, head], atol=1e-5, rtol=1e-5)


def test_several_tokens_without_a_query_say_what_is_missing() -> None:
    adapter = tiny_adapter(tiny_unet(SD21), encoder="individual")
    with pytest.raises(ValueError, match="13 AU tokens need the query and the heads"):
        adapter.au_term(next(iter(adapter.config.layers)), adapter.encode(SMILE))


@pytest.mark.parametrize("encoder", ["res_mlp64", "individual"])
def test_tokens_change_the_picture_and_removal_restores_it(encoder: str) -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet, encoder)
    plain = run(unet)
    handle = apply_to_unet(unet, adapter)
    changed = run(unet, au_tokens=guided(adapter))
    handle.remove()
    assert (changed - plain).abs().max() > 0.01
    assert torch.equal(run(unet), plain)


def test_strength_zero_is_bit_identical() -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet)
    plain = run(unet)
    apply_to_unet(unet, adapter, strength=0.0)
    assert torch.equal(run(unet, au_tokens=guided(adapter)), plain)


class EquationFive:
    """FineFace Eq. 5 word for word: two attentions, their sum through the output projection."""

    def __init__(self, adapter: AUAdapter, path: str, strength: float) -> None:
        self.adapter, self.path, self.strength = adapter, path, strength

    def __call__(
        self,
        attn: torch.nn.Module,
        hidden: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: None,
        au_tokens: torch.Tensor,
    ) -> torch.Tensor:
        query, text = attn.to_q(hidden), encoder_hidden_states
        out = attend(query, attn.to_k(text), attn.to_v(text), attn.heads)
        key = self.adapter.projection("k", self.path)(au_tokens)
        value = self.adapter.projection("v", self.path)(au_tokens)
        return attn.to_out[0](out + self.strength * attend(query, key, value, attn.heads))


@pytest.mark.parametrize("strength", [-1.0, 0.5, 1.0])
@pytest.mark.parametrize("encoder", ["res_mlp64", "individual"])
def test_it_is_equation_five(encoder: str, strength: float) -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet, encoder, rank=0)
    tokens = guided(adapter)
    handle = apply_to_unet(unet, adapter, strength)
    ours = run(unet, au_tokens=tokens)
    for path in adapter.config.layers:
        unet.get_submodule(path).set_processor(EquationFive(adapter, path, strength))
    theirs = run(unet, au_tokens=tokens)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    handle.remove()


def test_one_vector_serves_a_whole_batch_and_other_numbers_are_refused() -> None:
    unet = tiny_unet(SD21)
    for encoder in ("res_mlp64", "individual"):
        adapter = tiny_adapter(unet, encoder, rank=0)
        tokens = adapter.encode(SMILE).detach()
        handle = apply_to_unet(unet, adapter)
        one, both = run(unet, au_tokens=tokens), run(unet, au_tokens=torch.cat([tokens] * 2))
        torch.testing.assert_close(one, both, atol=1e-5, rtol=0)  # a batch adds up in another order
        with pytest.raises(ValueError, match="3 AU vectors for a batch of 2"):
            run(unet, au_tokens=torch.cat([tokens] * 3))
        handle.remove()


def test_a_second_adapter_on_the_same_unet_is_refused() -> None:
    unet = tiny_unet(SD21)
    handle = apply_to_unet(unet, tiny_adapter(unet))
    with pytest.raises(ValueError, match="carries an AU-Adapter already"):
        apply_to_unet(unet, tiny_adapter(unet))
    handle.remove()
    apply_to_unet(unet, tiny_adapter(unet))


@pytest.mark.parametrize("encoder", ["res_mlp64", "individual"])
def test_a_half_precision_unet_takes_an_adapter_in_full_precision(encoder: str) -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet, encoder)
    tokens = guided(adapter)
    handle = apply_to_unet(unet, adapter)
    expected = run(unet, au_tokens=tokens)
    handle.remove()
    unet.to(torch.bfloat16)
    apply_to_unet(unet, adapter)
    inputs = [x.to(torch.bfloat16) if x.is_floating_point() else x for x in unet_inputs(unet)]
    with torch.no_grad():
        half = unet(*inputs, cross_attention_kwargs={"au_tokens": tokens}).sample
    assert half.dtype == torch.bfloat16
    assert (half.float() - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_without_tokens_the_text_attention_is_diffusers_own() -> None:
    unet = tiny_unet(SD15)
    plain = run(unet)
    apply_to_unet(unet, tiny_adapter(unet), lora_strength=0.0)
    torch.testing.assert_close(run(unet), plain, atol=1e-6, rtol=0)


def test_text_attention_mask_is_kept() -> None:
    unet = tiny_unet(SD21)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0], [1] * 7])
    call = {"encoder_attention_mask": mask}
    with torch.no_grad():
        plain = unet(*unet_inputs(unet), **call).sample
        apply_to_unet(unet, tiny_adapter(unet), lora_strength=0.0)
        torch.testing.assert_close(
            unet(*unet_inputs(unet), **call).sample, plain, atol=1e-6, rtol=0
        )
    assert not torch.allclose(run(unet), plain, atol=1e-4)


def test_a_full_mask_is_no_mask_and_an_empty_one_no_term() -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet, rank=0)
    plain = run(unet)
    apply_to_unet(unet, adapter)
    tokens = guided(adapter)
    ones = torch.ones(2, 1, 8, 8)
    assert torch.equal(run(unet, au_tokens=tokens, au_mask=ones), run(unet, au_tokens=tokens))
    torch.testing.assert_close(
        run(unet, au_tokens=tokens, au_mask=0 * ones), plain, atol=1e-6, rtol=0
    )


def test_lora_is_merged_at_alpha_over_rank_and_unmerged_exactly() -> None:
    unet = tiny_unet(SD21)
    adapter = tiny_adapter(unet)
    path = next(iter(adapter.lora))
    before = unet.get_submodule(path).weight.clone()
    handle = apply_to_unet(unet, adapter, strength=0.5, lora_strength=3.0)
    down, up = adapter.lora[path]
    expected = before + 0.5 * 3.0 * (2.0 / 4) * up @ down
    torch.testing.assert_close(unet.get_submodule(path).weight, expected, atol=1e-6, rtol=1e-6)
    handle.remove()
    assert torch.equal(unet.get_submodule(path).weight, before)


def test_finefaces_lora_scale_is_a_quarter() -> None:
    config = AUAdapterConfig(SET_A, "none", 128, {"x.attn2": 64}, lora_rank=32)
    assert config.lora_scale == 0.25


def test_fresh_projections_are_copies_of_the_texts() -> None:
    unet = tiny_unet(SD21)
    adapter = AUAdapter.for_unet(unet)
    assert len(adapter.config.layers) == 7
    for path in adapter.config.layers:
        assert torch.equal(
            adapter.projection("k", path).weight, unet.get_submodule(path).to_k.weight
        )
        assert torch.equal(
            adapter.projection("v", path).weight, unet.get_submodule(path).to_v.weight
        )


def test_all_aus_zero_is_the_encoders_bias_not_nothing() -> None:
    adapter = tiny_adapter(tiny_unet(SD21))
    assert torch.equal(adapter.encode_zero()[0, 0, 12:76], adapter.encoder.mlp.bias)


def test_an_au_that_the_adapter_does_not_know_is_named() -> None:
    adapter = tiny_adapter(tiny_unet(SD21))
    with pytest.raises(ValueError, match="10"):
        adapter.encode(AUVector.from_dict({10: 2.0}, units=(10, 12)))


def test_another_base_is_refused_with_both_dims() -> None:
    adapter = tiny_adapter(tiny_unet(SD15))
    with pytest.raises(ValueError, match=r"text width 96\), the model has 7 .*text width 128"):
        apply_to_unet(tiny_unet(SD21), adapter)


def test_a_network_without_cross_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no cross-attentions"):
        AUAdapter.for_unet(torch.nn.Linear(2, 2))


def test_gradient_reaches_encoder_values_lora_and_nothing_else() -> None:
    unet = tiny_unet(SD21)
    adapter = AUAdapter.for_unet(unet, lora_rank=4)
    train_on_unet(unet, adapter)
    tokens = adapter.encode(AUVector.stack([SMILE, SMILE]))
    unet(
        *unet_inputs(unet), cross_attention_kwargs={"au_tokens": tokens}
    ).sample.square().mean().backward()
    reached = {
        n for n, p in [*unet.named_parameters(), *adapter.named_parameters()] if p.grad is not None
    }
    expected = {n for n, _ in unet.named_parameters() if "lora_" in n}
    expected |= {n for n, _ in adapter.named_parameters() if not n.startswith("to_k")}
    assert reached == expected
    assert {n for m in (unet, adapter) for n, p in m.named_parameters() if p.requires_grad} == (
        expected
    )


def test_lora_starts_as_nothing_and_survives_a_resumed_training() -> None:
    unet = tiny_unet(SD21)
    adapter = AUAdapter.for_unet(unet, lora_rank=4)
    training = train_on_unet(unet, adapter)
    lora = collect_lora(unet)
    assert len(lora) == 7 * 8
    assert all(down.abs().max() > 0 and up.abs().max() == 0 for down, up in lora.values())
    with torch.no_grad():
        for parameter in (*unet.parameters(), *adapter.parameters()):
            if parameter.requires_grad:
                parameter.add_(0.01)
    tokens = guided(adapter)
    trained = run(unet, au_tokens=tokens)
    adapter.lora = collect_lora(unet)
    training.remove()
    assert not any("lora" in name for name, _ in unet.named_parameters())
    handle = apply_to_unet(unet, adapter)
    torch.testing.assert_close(run(unet, au_tokens=tokens), trained, atol=1e-5, rtol=1e-5)
    handle.remove()
    train_on_unet(unet, adapter)
    torch.testing.assert_close(run(unet, au_tokens=tokens), trained, atol=1e-5, rtol=1e-5)


def test_keys_do_train_when_there_are_several_tokens() -> None:
    unet = tiny_unet(SD21)
    adapter = AUAdapter.for_unet(unet, encoder="individual", lora_rank=0)
    train_on_unet(unet, adapter)
    assert all(p.requires_grad for p in adapter.to_k.parameters())


def test_training_works_on_a_moving_average_in_mixed_precision() -> None:
    unet = tiny_unet(SD21)
    unet.set_attn_processor(AttnProcessor())
    module = torch.nn.ModuleDict({"unet": unet, "adapter": AUAdapter.for_unet(unet, lora_rank=4)})
    train_on_unet(module["unet"], module["adapter"])
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            call = {"au_tokens": module["adapter"].encode(SMILE)}
            out = unet(*unet_inputs(unet), cross_attention_kwargs=call).sample
        out.float().square().mean().backward()
        optimizer.step()
        average.update_parameters(module)
    copy = average.module
    copy["adapter"].lora = collect_lora(copy["unet"])
    tokens = guided(copy["adapter"])
    expected = run(copy["unet"], au_tokens=tokens)
    assert not torch.equal(expected, run(unet, au_tokens=guided(module["adapter"])))
    apply_to_unet(plain := tiny_unet(SD21), copy["adapter"])
    torch.testing.assert_close(run(plain, au_tokens=tokens), expected, atol=1e-5, rtol=1e-5)
