"""Draws one labelled head after another with OpenGL, on a GPU or in software."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import canvas, light, props
from .hair import STYLES, HairMaker, unit
from .head import HeadModel, lip_gap
from .sample import Expression, Person, Scene
from .scene import Camera, background, camera
from .skin import SkinPainter

# GLSL, a pair of files a material. Colours are squared into linear light, lit, and rooted back.
SHADERS = Path(__file__).parent / "shaders"
LAYOUTS = {  # of a material's vertices: formats and names
    "plain": ("3f 3f", "position", "normal"),
    "hair": ("3f 3f 3f 4f", "position", "normal", "tangent", "flow"),
}
OVERSAMPLE = 3
JAW_POINTS = 17  # the first of the 68 landmarks
HALF_TURN = 0.35  # how much of the head's turn the shoulders follow


@dataclass(frozen=True)
class Render:
    """image uint8 [S, S, 3], mask uint8 [S, S] (255 = person), landmarks pixels [68, 2], jaw pixels
    [17, 2]: the jaw line of the face at rest, which the expression does not move."""

    image: np.ndarray
    mask: np.ndarray
    landmarks: np.ndarray
    jaw: np.ndarray


@dataclass
class Stage:
    """One person, ready to be drawn in many expressions.

    things: hair, clothes and glasses, where there are any, as a vertex array and its buffer.
    """

    person: Person
    vertices: np.ndarray
    things: dict[str, tuple[Any, Any]] = field(default_factory=dict)


class Renderer:
    """A GL context with the face model in it. Pictures are size x size pixels."""

    def __init__(self, model_path: str | Path, size: int = 128):
        os.environ.setdefault("LP_NUM_THREADS", "1")
        self.size, self.model = size, HeadModel(model_path)
        self.gl = _context()
        common = (SHADERS / "common.glsl").read_text()
        self.programs = {
            path.stem: self.gl.program(
                path.read_text(), common + path.with_suffix(".frag").read_text()
            )
            for path in SHADERS.glob("*.vert")
        }
        self.programs["skin"]["paint"], self.programs["skin"]["relief"] = 0, 1
        self.programs["hair"]["strands"] = 2
        model = self.model
        skin, normals = model.neutral[: model.skin.last], model.skin_normals(model.neutral)
        self.transfer, self.occlusion = light.bake_visibility(skin, normals, model.skin.triangles)
        self.painter = SkinPainter(model.neutral[model.landmarks])
        self.hair_maker = HairMaker(skin)
        self.mouth_parts = _mouth_parts(model)
        self._upload_static()
        self._stage: Stage | None = None

    def _upload_static(self) -> None:
        gl, model, side = self.gl, self.model, self.size * OVERSAMPLE
        self.target = gl.framebuffer(
            [gl.texture((side, side), 4)], gl.depth_renderbuffer((side, side))
        )
        points = canvas.shares(canvas.flatten(model.neutral[: model.skin.last]))
        static = np.c_[points, self.occlusion].astype("f4")
        self.skin_moving = gl.buffer(reserve=model.skin.last * 28, dynamic=True)
        self.skin_array = self._array(
            "skin",
            model.skin.triangles,
            (self.skin_moving, "3f 3f 1f", "position", "normal", "seen"),
            (gl.buffer(static.tobytes()), "2f 1f", "texture_point", "occlusion"),
        )
        self.eyes = [self._eye(name) for name in ("inner_eye_left", "inner_eye_right")]
        self.mouth_moving = gl.buffer(reserve=max(len(self.mouth_parts.vertices), 1) * 12)
        static = gl.buffer(self.mouth_parts.static.tobytes()), "3f 4f", "normal", "tint"
        moving = self.mouth_moving, "3f", "position"
        self.mouth_array = self._array("mouth", self.mouth_parts.triangles, moving, static)
        self.paint = gl.texture((canvas.WIDTH, canvas.HEIGHT), 4)
        self.relief = gl.texture((canvas.WIDTH, canvas.HEIGHT), 4, dtype="f2")
        for texture in (self.paint, self.relief):
            texture.repeat_x = texture.repeat_y = False
        self.strands = gl.texture((512, 128), 1, _strands().tobytes())

    def _array(self, material: str, triangles: np.ndarray, *vertices: tuple):
        """vertices: buffers, each with its formats and names."""
        indices = self.gl.buffer(np.ascontiguousarray(triangles, "i4").tobytes())
        return self.gl.vertex_array(self.programs[material], list(vertices), indices)

    def _eye(self, name: str) -> tuple:
        mesh, gl = self.model.meshes[name], self.gl
        rest = self.model.neutral[mesh.first : mesh.last]
        local = (rest - rest.mean(0) - _eye_depth(rest)).astype("f4")
        moving = gl.buffer(reserve=max(len(rest), 1) * 12, dynamic=True)
        parts = (moving, "3f", "position"), (gl.buffer(local.tobytes()), "3f", "local")
        return mesh, moving, self._array("eye", mesh.triangles - mesh.first, *parts)

    def render(self, person: Person, scene: Scene, expression: Expression) -> Render:
        """Draw a person; the same arguments give the same picture."""
        stage = self._prepare(person)
        vertices = self.model.express(
            stage.vertices, expression.left, expression.right, scene.gaze
        ).astype("f4")
        view = camera(scene)
        landmarks = vertices[self.model.landmarks]
        self._send_skin(vertices, view, scene, person, expression)
        self._light(view, scene)
        self.target.use()
        self.gl.clear(0, 0, 0, 0)
        self.gl.enable(self.gl.DEPTH_TEST)
        self._draw(stage, vertices, landmarks, scene)
        at_rest = stage.vertices[self.model.landmarks[:JAW_POINTS]]
        points = (view.pixels(line, self.size) for line in (landmarks, at_rest))
        return self._finish(scene, *points)

    def _prepare(self, person: Person) -> Stage:
        if self._stage is not None and self._stage.person.identity == person.identity:
            return self._stage
        for thing in self._stage.things.values() if self._stage else ():
            for copy in thing:
                copy.release()
        vertices = self.model.person(person.weights, person.rest)
        self.paint.write(self.painter.paint(person).tobytes())
        shapes = {"clothes": props.clothes(person)}
        if hair := self.hair_maker.build(person, vertices[: self.model.skin.last]):
            shapes["hair"] = hair
        if person.glasses:
            shapes["glasses"] = props.glasses(vertices[self.model.landmarks])
        self._stage = Stage(person, vertices)
        for name, (points, triangles) in shapes.items():
            material = "hair" if name == "hair" else "plain"
            buffer = self.gl.buffer(np.ascontiguousarray(points, "f4").tobytes())
            array = self._array(material, triangles, (buffer, *LAYOUTS[material]))
            self._stage.things[name] = array, buffer
        return self._stage

    def _send_skin(self, vertices, view: Camera, scene, person, expression) -> None:
        last = self.model.skin.last
        moving = np.empty((last, 7), "f4")
        moving[:, :3] = vertices[:last]
        moving[:, 3:6] = self.model.skin_normals(vertices)
        key = view.rotation.T @ np.array(scene.key_direction)
        moving[:, 6] = light.key_visibility(self.transfer, key)
        self.skin_moving.write(moving)
        relief = self.painter.relief(person, expression.left, expression.right)
        self.relief.write(relief.tobytes())

    def _light(self, view: Camera, scene: Scene) -> None:
        back = view.rotation.T
        values = {
            "key_direction": back @ np.array(scene.key_direction),
            "key_colour": scene.key_colour,
            "ambient_top": scene.ambient_top,
            "ambient_bottom": scene.ambient_bottom,
            "up": back @ np.array([0.0, 1.0, 0.0]),
            "eye_point": view.eye_point,
            "rim": scene.rim,
        }
        project = view.project.T.astype("f4").tobytes()
        for program in self.programs.values():
            program["project"].write(project)
            _set(program, **values)

    def _draw(self, stage: Stage, vertices, landmarks, scene: Scene) -> None:
        gl, person = self.gl, stage.person
        self.paint.use(0)
        self.relief.use(1)
        self.strands.use(2)
        gl.enable(gl.CULL_FACE)
        self.skin_array.render()
        self._draw_eyes(vertices, landmarks, person)
        gl.disable(gl.CULL_FACE)
        self._draw_mouth(vertices, landmarks)
        self._draw_plain(stage, scene)
        if "hair" in stage.things:
            style, tint = STYLES[person.hair_style], person.hair_tint
            _set(self.programs["hair"], tint=tint, frizz=style.rough, curl=style.curl)
            stage.things["hair"][0].render()

    def _draw_eyes(self, vertices, landmarks, person: Person) -> None:
        program = self.programs["eye"]
        _set(program, iris_colour=person.eye_colour)
        for (mesh, moving, array), first in zip(self.eyes, (42, 36), strict=True):
            part = vertices[mesh.first : mesh.last]
            if not len(part):
                continue
            moving.write(np.ascontiguousarray(part))
            centre = part.mean(0) + _eye_depth(part)
            upper = landmarks[first : first + 4] - centre
            lower = landmarks[[first + 5, first + 4]] - centre
            _set(program, openness=(upper[1:3, 1] - lower[:, 1]).mean(), centre=centre)
            _set(program, lid=np.polyfit(upper[:, 0], upper[:, 1], 2))
            array.render()

    def _draw_mouth(self, vertices, landmarks) -> None:
        program, parts = self.programs["mouth"], self.mouth_parts
        self.mouth_moving.write(np.ascontiguousarray(vertices[parts.vertices]))
        _set(program, lip_depth=landmarks[62, 2], upper_lip=landmarks[62, 1])
        self.mouth_array.render(vertices=-1 if lip_gap(landmarks) > 0.1 else parts.socket_indices)

    def _draw_plain(self, stage: Stage, scene: Scene) -> None:
        program, person = self.programs["plain"], stage.person
        if "glasses" in stage.things:
            _set(program, tint=person.glasses_tint, gloss=0.5, weave=0.0)
            stage.things["glasses"][0].render()
        _set(program, tint=person.cloth_colour, gloss=0.02, weave=person.garment != "shirt")
        program["project"].write(camera(scene, HALF_TURN).project.T.astype("f4").tobytes())
        stage.things["clothes"][0].render()

    def _finish(self, scene: Scene, landmarks: np.ndarray, jaw: np.ndarray) -> Render:
        side, n = self.size * OVERSAMPLE, OVERSAMPLE
        raw = np.frombuffer(self.target.read(components=4), np.uint8).reshape(side, side, 4)[::-1]
        # Clear pixels are black with alpha 0, so the mean is already multiplied by alpha.
        mean = raw.reshape(self.size, n, self.size, n, 4).mean((1, 3), dtype=np.float32) / 255
        alpha = mean[..., 3:]
        picture = mean[..., :3] + background(scene, self.size) * (1 - alpha)
        picture = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
        return Render(picture, (alpha[..., 0] * 255 + 0.5).astype(np.uint8), landmarks, jaw)


@dataclass(frozen=True)
class _Mouth:
    vertices: np.ndarray  # indices into the model
    triangles: np.ndarray  # socket first, then teeth and gums
    socket_indices: int
    static: np.ndarray  # [N, 7]: normal, tint, shine


def _mouth_parts(model: HeadModel) -> _Mouth:
    names = ("mouth_socket", "teeth", "gums_tongue")
    looks = {"mouth_socket": (0.42, 0.15, 0.14, 0.05), "teeth": (0.90, 0.87, 0.80, 0.3),
             "gums_tongue": (0.66, 0.30, 0.29, 0.15)}  # fmt: skip
    meshes = [model.meshes[name] for name in names]
    triangles = np.concatenate([mesh.triangles for mesh in meshes])
    vertices = np.unique(triangles) if len(triangles) else np.zeros(0, int)
    tint = np.concatenate(
        [np.tile(looks[n], (m.last - m.first, 1)) for n, m in zip(names, meshes, strict=True)]
    )
    where = np.concatenate([np.arange(m.first, m.last) for m in meshes])
    # Back teeth fade into the dark of the mouth; software light does not reach in by itself.
    fade = np.clip((model.neutral[where, 2:] - 6.8) / 2.6, 0, 1)
    table = np.zeros((len(model.neutral), 4))
    table[where] = tint * fade + np.array([0.2, 0.07, 0.07, 0.0]) * (1 - fade)
    normals = np.zeros_like(model.neutral)
    a, b, c = model.neutral[triangles.T]
    np.add.at(normals, triangles.T, np.cross(b - a, c - a))
    static = np.c_[unit(normals)[vertices], table[vertices]].astype("f4")
    renumber = np.zeros(len(model.neutral), int)
    renumber[vertices] = np.arange(len(vertices))
    return _Mouth(vertices, renumber[triangles], len(meshes[0].triangles) * 3, static)


def _eye_depth(points: np.ndarray) -> np.ndarray:
    """The vector from the mean of an eyeball's front half to the eyeball's centre; the mean of a
    hemisphere lies r/2 before it."""
    if not len(points):
        return np.zeros(3, np.float32)
    reach = (points[:, 0].max() - points[:, 0].min()) / 2
    front = points[:, 2].max() - points[:, 2].mean()
    return np.array([0, 0, front - reach], np.float32)


def _strands() -> np.ndarray:
    """Tileable noise stretched along its rows, bytes [128, 512]."""
    rng = np.random.default_rng(5)
    total = np.zeros((128, 512))
    for columns, rows, weight in ((512, 8, 0.8), (256, 4, 0.8), (64, 4, 0.7), (24, 2, 0.5)):
        small = rng.normal(size=(rows, columns))
        rows_at = (np.arange(128) / 128 * rows) % rows
        columns_at = (np.arange(512) / 512 * columns) % columns
        r, c = rows_at.astype(int), columns_at.astype(int)
        fr, fc = (rows_at - r)[:, None], (columns_at - c)[None]
        r2, c2 = (r + 1) % rows, (c + 1) % columns
        top = small[r][:, c] * (1 - fc) + small[r][:, c2] * fc
        bottom = small[r2][:, c] * (1 - fc) + small[r2][:, c2] * fc
        total += weight * (top * (1 - fr) + bottom * fr)
    total = (total / total.std() * 0.22 + 0.5).clip(0, 1)
    return (total * 255).astype(np.uint8)


def _set(program, **values) -> None:
    """Set uniforms, but for those that the compiler has dropped as unused."""
    for name, value in values.items():
        if name in program:
            program[name].value = tuple(map(float, value)) if np.ndim(value) else float(value)


def _context():
    try:
        import moderngl
    except ImportError as error:
        raise RuntimeError(
            "rendering needs the Python package moderngl: pip install moderngl"
        ) from error
    try:
        return moderngl.create_standalone_context(backend="egl")
    except Exception as error:
        raise RuntimeError(
            "no OpenGL to render with: install the system packages libegl1 and libgl1-mesa-dri "
            f"(Debian and Ubuntu names; software rendering is enough). Found: {error}"
        ) from error
