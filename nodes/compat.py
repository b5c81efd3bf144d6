"""Everything that the nodes use of ComfyUI, in one place, because releases move it."""

from __future__ import annotations

import logging
from pathlib import Path

import folder_paths
from comfy import model_management, model_patcher, model_sampling, sd1_clip
from comfy.cli_args import args as command_line
from comfy.clip_model import CLIPTextModel
from comfy.clip_vision import ClipVisionModel
from comfy.conds import CONDNoiseShape, CONDRegular
from comfy.latent_formats import SD15 as StableDiffusionLatents
from comfy.latent_formats import LatentFormat
from comfy.ldm.modules.attention import optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.lora import load_lora
from comfy.model_base import IP2P, BaseModel, ModelType
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP, WrappersMP
from comfy.samplers import CFGGuider
from comfy.sd import CLIP, VAE
from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer, SDClipModel, SDTokenizer
from comfy.supported_models import SD15, SD20, SDXL
from comfy.supported_models_base import ClipTarget
from comfy.taesd.taesd import TAESD
from comfy.utils import ProgressBar, unet_to_diffusers
from comfy_api.latest import io as core_io
from comfy_api.latest import ui
from comfy_execution.utils import get_executing_context
from server import PromptServer

from .older_comfyui import with_later_words

io = with_later_words(core_io)
LOGGER = logging.getLogger("au_adapter")


def show_text(node: type[io.ComfyNode], text: str) -> ui.PreviewText | None:
    """Show a text on the node in the page; its schema must ask for the hidden unique_id.

    Returns the `ui` of a NodeOutput, which puts the text into the history; None for an empty text.
    Nothing is shown without a server: in a script, or while a picture's record is made.
    """
    if not text:
        return None
    server = getattr(PromptServer, "instance", None)
    if server and node.hidden:
        server.send_progress_text(text, node.hidden.unique_id)
    return ui.PreviewText(text)


def tell(title: str, text: str) -> None:
    """A warning that does not stop the run, as a toast (web/js/notices.js) and in the log: what
    `show_text` writes may be inside a subgraph. Without a server only the log has it."""
    LOGGER.warning("%s: %s", title, text)
    if (server := getattr(PromptServer, "instance", None)) is not None:
        server.send_sync("au_adapter.notice", {"title": title, "text": text})


def dynamic_patcher() -> type[ModelPatcher]:
    """The patcher that loads weights on demand where ComfyUI does so, else the plain one."""
    return getattr(model_patcher, "CoreModelPatcher", ModelPatcher)


def is_dynamic(patcher: ModelPatcher) -> bool:
    """Whether it loads weights on demand, which older releases never do."""
    return bool(getattr(patcher, "is_dynamic", bool)())


def tokenizer_folder() -> Path:
    """CLIP's vocabulary, as it comes with ComfyUI for Stable Diffusion 1 and 2."""
    return Path(sd1_clip.__file__).parent / "sd1_tokenizer"
