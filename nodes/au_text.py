"""AU Text and AU From Text: Action Units as English for any model's prompt, and words as AUs."""

from __future__ import annotations

from pathlib import Path

from au_adapter.facs import (
    CLIP_TOKENS,
    POLICIES,
    WORDINGS,
    AUVector,
    describe_conflicts,
    face_text,
    read_presets,
    understand,
)

from .au_vector import ALIASES
from .compat import folder_paths, io, show_text
from .node import Node
from .sockets import AUVectorSocket

OWN_EXPRESSIONS = ("default", "au_adapter", "expressions.json")  # in ComfyUI's user folder
EXAMPLE = "slightly doubtful, lips parted, left brow raised"


class AUText(Node):
    """Action Units as anatomical English for the prompt of any text-to-image model. Units that
    change each other's look get a text of their own.

    au_vector: N faces; each gets a text.
    policy: How AUs join in combinations. paper: as VQ-AUFace, where two pairs may share an AU;
        strict: each AU is used once, which is shorter.
    wording: anatomical: whole sentences, for models that read long prompts (T5, Qwen); short: a few
        words for each, for CLIP.
    intensity_words: Say how strong each AU is: faintly, slightly, markedly, strongly or extremely,
        FACS's A..E. Off: only that it is there.
    seed: Which of five wordings each sentence has. Moving one AU leaves the other sentences as they
        are.
    text: One text for each face; N texts run what follows N times.
    notes: Which AUs conflict, and what the text leaves out.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Text",
            family="expression",
            aliases=[*ALIASES, "prompt", "describe", "caption", "Flux", "Qwen", "VQ-AUFace"],
            inputs=[
                AUVectorSocket.Input("au_vector"),
                io.Combo.Input("policy", options=list(POLICIES), default="paper"),
                io.Combo.Input("wording", options=list(WORDINGS), default="anatomical"),
                io.Boolean.Input("intensity_words", display_name="intensity words", default=True),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF),
                io.Int.Input(
                    "token_limit",
                    display_name="token limit",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip=f"At most so many of CLIP's tokens, {CLIP_TOKENS} for one window of "
                    "77; 0 = no limit. The weakest AUs are left out first, and named below.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", is_output_list=True),
                io.String.Output(display_name="notes"),
            ],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        au_vector: AUVector,
        policy: str,
        wording: str,
        intensity_words: bool,
        seed: int,
        token_limit: int,
    ) -> io.NodeOutput:
        faces = [
            face_text(au_vector.face(i), policy, wording, intensity_words, seed, token_limit)
            for i in range(len(au_vector))
        ]
        texts = [face.text for face in faces]
        left_out = [
            f"left out{f' of face {number}' if len(faces) > 1 else ''}: {reason}"
            for number, face in enumerate(faces)
            for reason in face.left_out
        ]
        notes = "\n".join([*describe_conflicts(au_vector), *left_out])
        shown = show_text(cls, "\n".join([*texts[:1], *notes.splitlines()]))
        return io.NodeOutput(texts, notes, ui=shown)


class AUFromText(Node):
    """A face in plain English as Action Units, with an account of how each phrase was understood.
    Unknown words and what can be meant in two ways are refused.

    text: Phrases such as brows raised, lips slightly parted, no smile, in pain; left and right are
        the person's. Or FACS notation, or what AU Text wrote. The help page lists what words mean.
    explanation: Each phrase with its AUs, sources of recipes, and conflicts.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU From Text",
            family="expression",
            aliases=[*ALIASES, "words", "language", "parse", "plain English"],
            inputs=[io.String.Input("text", default=EXAMPLE, multiline=True)],
            outputs=[AUVectorSocket.Output(), io.String.Output(display_name="explanation")],
            shows_text=True,
        )

    @classmethod
    def fingerprint_inputs(cls, text: str) -> tuple:
        file = _own_expressions()
        return text, file.stat().st_mtime_ns if file.is_file() else 0

    @classmethod
    def execute(cls, text: str) -> io.NodeOutput:
        file = _own_expressions()
        found = understand(text, read_presets(file) if file.is_file() else {})
        explanation = "\n".join(found.lines)
        return io.NodeOutput(found.vector, explanation, ui=show_text(cls, explanation))


def _own_expressions() -> Path:
    """The file with expressions of the person who runs ComfyUI, if there is one."""
    return Path(folder_paths.get_user_directory(), *OWN_EXPRESSIONS)
