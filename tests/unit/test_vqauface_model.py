"""Stage II of VQ-AUFace: masks, decoding, what the context hears, and published networks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny_clip import write_clip
from tiny_vqauface import CODEC, tiny_codec, tiny_vqauface
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from au_adapter.facs import AUVector, constructs, face_text
from au_adapter.models.vqauface import Condition, VQAUFace, VQAUFaceConfig
from au_adapter.models.vqauface.parallel_decoding import guided, parallel_decode
from au_adapter.models.vqauface.token_transformer import draw_mask, mask_ratio, masked_loss
from au_adapter.models.vqauface.word_ids import END, UNKNOWN, WordIds, processor_words
from au_adapter.training.recipes.vqauface_recipe import VQAUFaceLoss
from au_adapter.weights.vqauface_files import (
    describe_given,
    given_networks,
    load_vqauface,
    save_vqauface,
)

SMILE, FROWN = "The cheeks are raised.", "The brows are lowered."


def faces(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_cosine_schedule_masks_all_then_none() -> None:
    assert mask_ratio(0.0) == 1 and mask_ratio(1.0) == pytest.approx(0, abs=1e-9)
    assert mask_ratio(0.5) == pytest.approx(math.sqrt(0.5))
    ratios = mask_ratio(torch.linspace(0, 1, 9))
    assert (ratios.diff() < 0).all()


def test_a_mask_has_its_share_of_places_by_the_order_drawn() -> None:
    order = torch.rand(3, 40, generator=torch.Generator().manual_seed(0))
    where = draw_mask(order, torch.tensor([0.0, 0.5, 1.0]))
    assert where.sum(1).tolist() == [40, math.ceil(math.sqrt(0.5) * 40), 1]
    assert order[1][where[1]].max() < order[1][~where[1]].min()


def test_the_loss_counts_masked_places_alone() -> None:
    network = tiny_vqauface()
    codes = network.codec.encode(faces(2))
    where = torch.zeros_like(codes, dtype=torch.bool)
    where[0, 3, 1] = where[1, 9, 0] = True
    context = network.context(network.ask_text([SMILE, FROWN]), network.look(faces(2)))
    ids = codes.masked_fill(where, network.transformer.embedding.masked)
    logits = network.predict(ids, where, context)
    assert logits.shape == (2, CODEC.codes)
    expected = -logits.log_softmax(-1)[[0, 1], codes[where]].mean()
    torch.testing.assert_close(masked_loss(logits, codes[where]), expected)


def test_guidance_by_hand() -> None:
    plain, told = torch.tensor([1.0]), torch.tensor([2.0])
    assert guided(plain, told, 3.0) == 4.0 and guided(plain, told, 1.0) == told


class Known:
    """Predicts the codes of one picture: the further down, the surer."""

    def __init__(self, codes: Tensor, count: int):
        self.codes, self.count = codes, count
        self.asked: list[int] = []

    def __call__(self, ids: Tensor, where: Tensor) -> Tensor:
        self.asked.append(int(where[0].sum()))
        assert (ids[where] == self.count).all() and (ids[~where] < self.count).all()
        sure = torch.linspace(1, 9, self.codes[0].numel()).reshape(self.codes[0].shape)
        logits = torch.zeros(*self.codes.shape, self.count)
        logits.scatter_(
            -1, self.codes[..., None], sure[None, ..., None].expand(len(ids), -1, -1, 1)
        )
        return logits[where]


def test_decoding_keeps_the_surest_and_ends_with_every_code() -> None:
    codes = torch.randint(7, (2, 10, 3), generator=torch.Generator().manual_seed(0))
    told, seen = Known(codes, 7), []
    start = torch.full_like(codes, 7)
    chance = torch.Generator().manual_seed(0)
    found = parallel_decode(
        told, start, 7, 4, 0.0, chance, lambda *step: seen.append((step[0], step[1]))
    )
    assert torch.equal(found, codes)
    assert told.asked == [30, *(int(mask_ratio(n / 4) * 30) for n in (1, 2, 3))]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_chance_hangs_on_the_seed_and_is_the_same_for_all_rows() -> None:
    def predict(ids: Tensor, where: Tensor) -> Tensor:
        return torch.zeros(int(where.sum()), 7)

    def drawn(seed: int, heat: float) -> Tensor:
        chance = torch.Generator().manual_seed(seed)
        return parallel_decode(predict, torch.full((2, 10, 3), 7), 7, 5, heat, chance)

    one = drawn(1, 1.0)
    assert torch.equal(one, drawn(1, 1.0)) and not torch.equal(one, drawn(2, 1.0))
    assert torch.equal(one[0], one[1]) and len(one.unique()) > 3
    assert torch.equal(drawn(1, 0.0), drawn(2, 0.0))
    with pytest.raises(ValueError, match="steps is 0"):
        parallel_decode(predict, torch.full((1, 2, 1), 7), 7, 0, 1.0, torch.Generator())


def context_of(network: VQAUFace, condition: Condition, picture: Tensor) -> Tensor:
    with torch.no_grad():
        return network.context(condition, network.look(picture))[0]


def test_the_context_hears_the_text_unless_it_is_untold() -> None:
    network, picture = tiny_vqauface(), faces(1)
    smile, frown = network.ask_text([SMILE]), network.ask_text([FROWN])
    assert not torch.allclose(*(context_of(network, c, picture) for c in (smile, frown)))
    untold = torch.tensor([False])
    silent = [context_of(network, Condition(c.asked, untold), picture) for c in (smile, frown)]
    torch.testing.assert_close(*silent)


@pytest.mark.parametrize("part", ["structure", "appearance", "reference"])
def test_each_part_of_the_reference_can_be_left_out(part: str) -> None:
    network = tiny_vqauface(**{part: False})
    one, other = (context_of(network, network.ask_text([SMILE]), faces(1, s)) for s in (1, 2))
    words = one.shape[1] - (0 if part == "reference" else CODEC.cells)
    assert words == len(network.ask_text([SMILE]).asked[0])
    assert not torch.allclose(one, other)  # the two others are still seen
    nothing = tiny_vqauface(structure=False, appearance=False, reference=False)
    text = nothing.ask_text([SMILE])
    torch.testing.assert_close(context_of(nothing, text, faces(1, 1)),
                               context_of(nothing, text, faces(1, 2)))  # fmt: skip


def test_codes_of_an_aligned_reference_may_be_kept() -> None:
    """The more `keep` says so, the likelier the reference's own code at each place."""
    network = tiny_vqauface()
    with torch.no_grad():
        context = network.context(network.ask_text([SMILE]), network.look(faces(1)))
    codes = context.reference
    ids = torch.full_like(codes, network.transformer.embedding.masked)
    where = torch.ones_like(ids, dtype=torch.bool)
    chances = []
    for strength in (0.0, 4.0):
        with torch.no_grad():
            network.transformer.keep.weight.zero_()
            network.transformer.keep.bias.fill_(strength)
            logits = network.predict(ids, where, context)
        chances.append(logits.softmax(-1).gather(1, codes[where][:, None])[:, 0])
    odds = [chance / (1 - chance) for chance in chances]
    torch.testing.assert_close(odds[1], odds[0] * math.exp(4.0), rtol=1e-3, atol=0)
    assert tiny_vqauface(aligned=False).transformer._modules.keys() == {
        "embedding",
        "blocks",
        "norm",
    }
    apart = tiny_vqauface(reference=False)
    assert apart.context(apart.ask_text([SMILE]), apart.look(faces(1))).reference is None


def test_a_padded_text_means_what_it_means_alone() -> None:
    network, picture = tiny_vqauface(), faces(1)
    long = " ".join([FROWN] * 3)
    alone = network.context(network.ask_text([SMILE]), network.look(picture))
    both = network.context(
        network.ask_text([SMILE, long]), network.look(picture.expand(2, -1, -1, -1))
    )
    ids = torch.full((2, CODEC.cells, CODEC.depth), network.transformer.embedding.masked)
    where = ids == ids[0, 0, 0]
    with torch.no_grad():
        expected = network.predict(ids[:1], where[:1], alone)
        found = network.predict(ids, where, both)[: len(expected)]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_drawing_follows_seed_and_text_and_takes_one_reference_for_many() -> None:
    network = tiny_vqauface()
    both = network.ask_text([SMILE, FROWN])
    with torch.no_grad():
        reference = network.look(faces(1))
    drawn = network.draw(both, reference, 5, steps=3)
    assert drawn.shape == (2, 3, 32, 32) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(network.draw(both, reference, 5, steps=3), drawn)
    assert not torch.equal(network.draw(both, reference, 6, steps=3), drawn)
    alone = network.draw(network.ask_text([SMILE]), reference, 5, steps=3)
    torch.testing.assert_close(alone[0], drawn[0], atol=1e-4, rtol=1e-3)


def test_a_vector_takes_the_place_of_the_text() -> None:
    network = tiny_vqauface(driver="vector")
    assert not hasattr(network, "text")
    values = AUVector.parse("12E").dense(network.config.units)
    one, other = (
        context_of(network, network.ask_vector(v), faces(1)) for v in (values, 0 * values)
    )
    assert not torch.allclose(one, other)


def test_the_own_text_encoder_knows_every_word_of_the_processor() -> None:
    ids = WordIds(processor_words())
    for entry in constructs():
        for seed in range(3):
            vector = AUVector.from_dict(dict.fromkeys(map(str, entry.units), 4.0))
            found = ids([face_text(vector, seed=seed).text], 512)
            assert UNKNOWN not in found and found[0, -1] == END
    assert ids(["", "cheeks cheeks"], 2).tolist() == [[END, 0], [ids(["cheeks"], 9)[0, 0], END]]
    with pytest.raises(
        ValueError, match="does not know 3 of the 3 words of the text, such as 'un'"
    ):
        ids(["Un visage souriant"], 512)


class Recognition:
    width = 5

    def __call__(self, pictures: Tensor) -> Tensor:
        return pictures.mean((1, 2)).repeat(1, 2)[:, :5]


def recognition() -> Recognition:
    return Recognition()


def write_t5(folder: Path) -> Path:
    """A T5 with random weights and a tokenizer of single letters."""
    letters = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    letters |= {c: n for n, c in enumerate("abcdefghijklmnopqrstuvwxyzT .", 3)}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    config = T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5EncoderModel(config).save_pretrained(folder)
    return folder


def test_the_full_model_trains_on_published_networks_that_stay_as_they_are(tmp_path: Path) -> None:
    """The full configuration with narrow layers: T5, CLIP and a face network from outside."""
    torch.manual_seed(0)
    t5, clip = write_t5(tmp_path / "t5"), write_clip(tmp_path / "clip")
    named = (t5, clip, "test_vqauface_model:recognition")
    given = given_networks(*named)
    sizes = {"codec": CODEC, "width": 32, "layers": 1, "heads": 2, "code_width": 16}
    config = VQAUFaceConfig(**sizes, given=describe_given(given))
    network = VQAUFace(config, given)
    assert config.group == 1 and config.text_limit == 2048
    network.codec.load_state_dict(tiny_codec().state_dict())
    loss, before = VQAUFaceLoss(network).train(), [p.clone() for p in network.text.parameters()]
    optimizer = torch.optim.AdamW([p for p in loss.parameters() if p.requires_grad], 1e-2)
    batch = {
        "references": faces(2), "targets": faces(2, 1), "told": torch.ones(2, dtype=torch.bool),
        "asked": network.ask_text([SMILE, FROWN]).asked,
        "order": torch.rand(2, CODEC.cells * CODEC.depth), "progress": torch.tensor([0.2, 0.6]),
    }  # fmt: skip
    losses = []
    for _ in range(3):
        losses.append(loss(batch))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    for one, other in zip(before, network.text.parameters(), strict=True):
        assert torch.equal(one, other)
    file = save_vqauface(network, tmp_path / "full.safetensors")
    again = load_vqauface(file, *named)
    with torch.no_grad():
        found, expected = (
            n.eval().context(n.ask_text([SMILE]), n.look(faces(1)))[0] for n in (again, network)
        )
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="needs text_model, clip, recognition"):
        load_vqauface(file)
