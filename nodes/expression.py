"""AU Expression: recipes of expressions by name, and what is known about AUs that conflict."""

from __future__ import annotations

from au_adapter.facs import PRESETS, AUVector, describe_conflicts, preset

from .au_vector import ALIASES
from .compat import io, show_text
from .node import Node
from .sockets import AUVectorSocket

FORMS = {"set A": "set_a", "set B": "set_b", "all": "full"}


class AUExpression(Node):
    """An expression by its name, as Action Units from the literature, and a word about those that
    do not go together.

    expression: A recipe of Action Units; the help page lists them. It says how a face looks, not
        what somebody feels.
    strength: Factor on all its AUs: 1 = as written, 0 = none of it.
    units: What the adapter knows: set A = 1 2 4 5 6 9 12 15 17 20 25 26 (FineFace, the bundled
        model), set B = 1 2 4 6 7 10 12 14 15 17 23 24, all = the recipe as the literature has it,
        with left and right.
    au_vector: Added to the expression; one face, or N faces that each get it.
    notes: The recipe, its source, and which AUs conflict. Nothing is changed.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Expression",
            family="expression",
            aliases=[*ALIASES, "emotion", "happy", "sad", "angry", "joy", "preset"],
            inputs=[
                io.Combo.Input("expression", options=list(PRESETS), default="enjoyment smile"),
                io.Float.Input("strength", default=1.0, min=-2.0, max=2.0, step=0.05),
                io.Combo.Input("units", options=list(FORMS), default="set A"),
                AUVectorSocket.Input("au_vector", optional=True),
            ],
            outputs=[AUVectorSocket.Output(), io.String.Output(display_name="notes")],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls, expression: str, strength: float, units: str, au_vector: AUVector | None = None
    ) -> io.NodeOutput:
        recipe, form = preset(expression), FORMS[units]
        try:
            vector = recipe.vector(form) * strength
        except ValueError as error:
            raise ValueError(f"{error}; choose other units.") from error
        vector = vector if au_vector is None else vector + au_vector
        # The recipe in the units chosen, its source, and what is lost with these units.
        other = {"set_a": "set B", "set_b": "set A", "full": ""}[form]
        lost = [note for note in recipe.note.split("; ") if note and other and other not in note]
        told = f"{recipe.name}: {getattr(recipe, form)} ({'; '.join([recipe.source, *lost])})"
        notes = "\n".join([told, *describe_conflicts(vector)])
        show_text(cls, notes)
        return io.NodeOutput(vector, notes)
