"""Prepare MagicFace and Paste Face: from a photo to MagicFace's pictures, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from au_adapter.faces import (
    FACE_LANDMARKER,
    PERSON_SEGMENTER,
    Face,
    FaceLandmarker,
    FaceParser,
    PersonSegmenter,
    choose,
    from_face_landmarks,
    head_angles,
    locate,
)
from au_adapter.faces.jaw_background import RULES, prepare_faces
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.faces.picture_checks import in_colour
from au_adapter.faces.squares import FaceCrop, cut_square
from au_adapter.facs import AUVector

from .compat import folder_paths, io, show_text, tell
from .node import FOLDED, Node
from .sockets import AUVectorSocket, FaceCropSocket, FaceLandmarksSocket

# The widget's words, which saved workflows hold, and the library's.
ORDERS = dict(zip(("largest first", "left to right", "surest first"), choose.ORDERS, strict=True))
GOOGLE = "selfie segmenter"
PARSER_ENDINGS = (".pth", ".safetensors")
SEARCH_LEVELS = 3  # faces down to about a twentieth of the picture's longer side
ALL_FACES = -1
PROFILE = 50  # degrees of yaw beyond which half of the face is a guess
BUNDLED_SIZE = 128  # of the heads that the MagicFace in the box edits
PHOTO = 1.25  # a face that is so many times larger is of a photograph, no render of that size
SMALL = 0.5  # a face that has to be enlarged to more than twice its size


class PrepareMagicFace(Node):
    """Finds a face in a photo and makes the two pictures that MagicFace reads: the face, and its
    background with the jaw line.

    image: A photo, or a batch of them; any size.
    mask: Chooses the face that lies in it, instead of the number below.
    face_landmarks: Faces that another node found in this photo (AU Estimator, Detect Face
        Landmarks). Without it they are looked for here.
    face: Which face of each photo, counted from 0 in the order below; -1 is all of them.
    mask_rule: What becomes black in the background: the whole person, as the released weights were
        trained, or the face alone, which keeps hair and clothes in place where a face fills the
        photo.
    order: In which order the faces are counted.
    segmenter: What tells people from background: Google's segmenter, or the weights of BiSeNet that
        MagicFace's own preparation uses, 79999_iter.pth in models/face_analysis.
    size: Pixels of a side of the results; 512 is what MagicFace was trained with, 128 the bundled
        one.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        files = folder_paths.get_filename_list(MODEL_FOLDER)
        parsers = [name for name in files if name.endswith(PARSER_ENDINGS)]
        return cls.schema(
            "Prepare MagicFace",
            family="edit a photo",
            aliases=["FACS", "face edit", "crop face", "find face"],
            inputs=[
                io.Image.Input("image"),
                io.Mask.Input("mask", optional=True),
                FaceLandmarksSocket.Input("face_landmarks", optional=True),
                io.Int.Input("face", default=0, min=ALL_FACES, max=99),
                io.Combo.Input("mask_rule", options=list(RULES)),
                io.Combo.Input("order", options=list(ORDERS), advanced=True),
                io.Combo.Input("segmenter", options=[GOOGLE, *parsers], default=GOOGLE, **FOLDED),
                io.Int.Input("size", default=512, min=64, max=1024, step=64, advanced=True),
            ],
            outputs=[
                FaceCropSocket.Output(),
                io.Image.Output(display_name="face"),
                io.Image.Output(display_name="background"),
            ],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        face: int,
        mask_rule: str,
        order: str = next(iter(ORDERS)),
        size: int = 512,
        mask: Tensor | None = None,
        face_landmarks: dict[str, Any] | None = None,
        segmenter: str = GOOGLE,
    ) -> io.NodeOutput:
        pictures = in_colour(image)
        masks = None if mask is None else sized_masks(mask, pictures)
        chosen, missing = [], {}
        for index, faces in enumerate(find_faces(pictures, face_landmarks)):
            try:
                here = choose_faces(faces, index, face, order, masks)
                chosen += [(index, one) for one in here]
            except NoFaceError as error:
                missing[index] = error
        if not chosen:
            raise missing[0]
        people, pictures = _black(segmenter, mask_rule), pictures.cpu()
        crop, faces, backgrounds = prepare_faces(pictures, chosen, size, people)
        notes = _notes(chosen, crop, size)
        notes += [f"{error} The picture passes through as it is." for error in missing.values()]
        if missing and face != ALL_FACES:
            crop, faces, backgrounds = _with_faceless(crop, faces, backgrounds, pictures)
        text = "\n".join(notes)
        if text:  # before anything is drawn, also where this node is inside a subgraph
            tell("Prepare MagicFace", text)
        return io.NodeOutput(crop, faces, backgrounds, ui=show_text(cls, text))


class PasteFace(Node):
    """Puts an edited face back into its photo, at the photo's own size. Without a change of AUs the
    photo itself comes out, and the sampler does not run.

    image: The photo that went into Prepare MagicFace or Invert Face.
    au_vector: The change that Apply MagicFace got, or that comes out of Apply AUEditNet.
    feather: Width of the soft edge in % of the cut-out square's side; it lies inside the face's
        mask. 0 is a hard edge.
    edited: What MagicFace drew, from VAE Decode, or the picture of Apply AUEditNet. Not computed
        without a change.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Paste Face",
            family="edit a photo",
            aliases=["face edit", "crop face", "uncrop", "composite"],
            inputs=[
                io.Image.Input("image"),
                FaceCropSocket.Input("face_crop"),
                AUVectorSocket.Input("au_vector"),
                io.Float.Input("feather", default=4.0, min=0.0, max=25.0, step=0.5),
                io.Image.Input("edited", lazy=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def check_lazy_status(cls, au_vector: AUVector | None = None, **_: Any) -> list[str]:
        return ["edited"] if au_vector is None or changed_faces(au_vector).any() else []

    @classmethod
    def execute(
        cls,
        image: Tensor,
        face_crop: FaceCrop,
        au_vector: AUVector,
        feather: float,
        edited: Tensor | None = None,
    ) -> io.NodeOutput:
        if tuple(image.shape[1:3]) != face_crop.size or max(face_crop.pictures) >= len(image):
            raise ValueError(
                f"the IMAGE is {len(image)} picture(s) of {image.shape[2]} x {image.shape[1]} "
                f"pixels, FACE_CROP is of {max(face_crop.pictures) + 1} of {face_crop.size[1]} x "
                f"{face_crop.size[0]}: connect the photo that FACE_CROP was made from."
            )
        moved = changed_faces(au_vector)
        count = _edits(face_crop, moved, edited)
        places, faces = face_crop.pictures, range(count)
        if len(face_crop) == 1 and count > 1:  # many changes of one face: as many photos
            image = image[list(places)].repeat(count, 1, 1, 1)
            places, faces = range(count), [0] * count
        if not moved.any():
            return io.NodeOutput(image)
        result = list(image)
        for row in moved.expand(count).nonzero().flatten().tolist():
            place, face = places[row], faces[row]
            result[place] = face_crop.paste(result[place], edited[row], face, feather / 100)
        return io.NodeOutput(torch.stack(result))


class NoFaceError(ValueError):
    """A picture that does not show the face that was asked for."""


def changed_faces(vector: AUVector) -> Tensor:
    """Which faces of a vector have a nonzero AU, bool [N]."""
    return torch.stack(vector.sides()).ne(0).any(-1).any(0)


def find_faces(pictures: Tensor, landmarks: dict[str, Any] | None) -> list[list[Face]]:
    if landmarks is not None:
        return from_face_landmarks(landmarks, pictures)
    path = locate(FACE_LANDMARKER, folders=folder_paths.get_folder_paths(MODEL_FOLDER))
    return FaceLandmarker(path).detect(pictures, levels=SEARCH_LEVELS)


def _black(segmenter: str, mask_rule: str) -> Callable[[Tensor], Tensor] | None:
    """The mask of what becomes black in the background; None for the outline of the mesh."""
    whole = mask_rule == RULES[0]
    if segmenter != GOOGLE:
        parser = FaceParser(folder_paths.get_full_path_or_raise(MODEL_FOLDER, segmenter))
        return parser.person if whole else parser.face
    folders = folder_paths.get_folder_paths(MODEL_FOLDER)
    return PersonSegmenter(locate(PERSON_SEGMENTER, folders=folders)).mask if whole else None


def sized_masks(mask: Tensor, pictures: Tensor) -> Tensor:
    """The mask of each picture, at its size, [P, H, W]."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).float().cpu()
    if len(mask) not in (1, len(pictures)):
        raise ValueError(
            f"{len(mask)} masks for {len(pictures)} photos; give one, or one for each."
        )
    sized = interpolate(mask, tuple(pictures.shape[1:3]), mode="bilinear")[:, 0]
    return sized.expand(len(pictures), -1, -1)


def choose_faces(
    faces: list[Face], picture: int, number: int, order: str, masks: Tensor | None
) -> list[Face]:
    if not faces:
        raise NoFaceError(
            f"no face found in picture {picture + 1}. The face should be turned to the camera and "
            "at least a twentieth of the picture wide: crop closer, or connect FACE_LANDMARKS."
        )
    if masks is not None:
        return [_in_mask(faces, picture, masks[picture])]
    ordered = choose.in_order(faces, ORDERS[order])
    if number == ALL_FACES:
        return ordered
    if number >= len(ordered):
        raise NoFaceError(
            f"face {number} asked for, but picture {picture + 1} has "
            f"{len(ordered)}, counted from 0. Choose 0 to {len(ordered) - 1}, or -1 for all."
        )
    return [ordered[number]]


def _in_mask(faces: list[Face], picture: int, mask: Tensor) -> Face:
    """The face with most of its points in a mask [H, W]."""
    height, width = mask.shape

    def inside(face: Face) -> float:
        x, y = face.points[:, :2].round().long().unbind(-1)
        return float(mask[y.clamp(0, height - 1), x.clamp(0, width - 1)].mean())

    best = max(faces, key=inside)
    if inside(best) == 0:
        raise NoFaceError(
            f"none of the {len(faces)} face(s) of picture {picture + 1} lies in "
            "the mask. Paint over the face, or disconnect the mask and choose by number."
        )
    return best


def _with_faceless(
    crop: FaceCrop, faces: Tensor, backgrounds: Tensor, pictures: Tensor
) -> tuple[FaceCrop, Tensor, Tensor]:
    """One row for each picture, as AU vectors of a clip count them. A picture without the face has
    its central square, whose empty mask lets Paste Face change nothing."""
    height, width = crop.size
    side, size = min(height, width), faces.shape[1]
    x, y = (width - side) // 2, (height - side) // 2
    centre, rows = torch.tensor([x, y, x + side, y + side]), []
    for index, picture in enumerate(pictures):
        if index in crop.pictures:
            row = crop.pictures.index(index)
            rows.append((crop.squares[row], crop.masks[row], faces[row], backgrounds[row]))
        else:
            square = cut_square(picture[..., :3], centre, size).to(faces)
            rows.append((centre, torch.zeros_like(crop.masks[0]), square, square))
    squares, masks, faces, backgrounds = map(torch.stack, zip(*rows, strict=True))
    return FaceCrop(tuple(range(len(pictures))), squares, masks, crop.size), faces, backgrounds


def _notes(chosen: list[tuple[int, Face]], crop: FaceCrop, size: int) -> list[str]:
    """Warnings about faces on which the edit will be poor."""
    notes = []
    for (picture, face), square in zip(chosen, crop.squares, strict=True):
        yaw = abs(float(head_angles(face.pose)[0]))
        if yaw > PROFILE:
            notes.append(
                f"Picture {picture + 1}: the face is turned {yaw:.0f} degrees to the side. "
                "MagicFace saw mostly frontal faces; the far half is a guess."
            )
        side = int(square[2] - square[0])
        if size <= BUNDLED_SIZE and side > PHOTO * size:
            notes.append(
                f"Picture {picture + 1}: this looks like a photograph ({side} pixels of face). The "
                f"MagicFace in the box edits rendered heads of {BUNDLED_SIZE} pixels and makes "
                "something else of a person: for photographs take MagicFace's published weights, "
                "as in the template 02_photo_change_expression."
            )
        if side < SMALL * size:
            notes.append(
                f"Picture {picture + 1}: the face is small ({side} pixels with its surroundings) "
                f"and was enlarged to {size}; the edit will be softer than MagicFace can do."
            )
    return notes


def _edits(crop: FaceCrop, moved: Tensor, edited: Tensor | None) -> int:
    """The number of edits; ValueError unless vectors, faces and pictures agree."""
    counts = {"AU vectors": len(moved), "faces": len(crop)}
    if edited is not None:
        counts["edited pictures"] = len(edited)
    most = max(counts.values())
    if not set(counts.values()) <= {1, most} or counts.get("edited pictures", most) != most:
        raise ValueError(
            f"{', '.join(f'{n} {what}' for what, n in counts.items())} do not fit. "
            "Connect the FACE_CROP and AU vector that the edited pictures were made with."
        )
    return most
