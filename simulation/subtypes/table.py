"""The table of planted sub-types -> each with its category, its words and its scene, checked.

A sub-type looks like its category's scene with a few things changed, so that look-alikes share the hue, the light and
the marks of their group; its composition of shapes, ground, motion and one more mark is its own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any

from contracts.errors import BadInputError
from contracts.growth import SEPARATOR
from contracts.taxonomy import VIOLATIVE, Category
from simulation.pictures.emblems import LAYOUTS
from simulation.pictures.marks import MARKS
from simulation.pictures.motion import MOTIONS
from simulation.pictures.scenes import Emblem, Scene
from simulation.pictures.shapes import BACKDROPS, SHAPES
from simulation.pictures.violations import CATEGORY_SCENES

_NAMED = {"backdrops": BACKDROPS, "shapes": SHAPES, "marks": MARKS, "layouts": LAYOUTS, "motion": MOTIONS}
_CHANGED = {field.name for field in fields(Scene)} - {"name", "marks", "emblems"}


@dataclass(frozen=True, slots=True)
class SubType:
    """One planted type: `key` names it in code, `name` and `description` are what a taxonomy would say of it.

    phrases: by language, what its videos say that no other video says.
    """

    key: str
    category: Category
    name: str
    description: str
    scene: Scene
    phrases: Mapping[str, tuple[str, ...]]

    @property
    def path(self) -> tuple[str, str, str]:
        """Below its category, as a taxonomy of moderation has it: group, category, name."""
        return self.category.group.value, self.category.value, self.name

    @property
    def label(self) -> str:
        """The whole path, as a grown taxonomy writes it."""
        return SEPARATOR.join(self.path)

    @property
    def text(self) -> str:
        """What an encoder of types reads."""
        return f"{self.name}: {self.description}"


@cache
def planted() -> Mapping[str, SubType]:
    """The sub-types by their keys, in the order of the categories."""
    return sub_types_of(
        tomllib.loads(resources.files("simulation.subtypes").joinpath("planted.toml").read_text("utf-8"))
    )


def sub_types_of(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, SubType]:
    """Sub-types from a table by category and key; raises `BadInputError` naming the value, the rule and the place."""
    named = {category.value: category for category in VIOLATIVE}
    found = dict[str, SubType]()
    for category, children in table.items():
        if category not in named:
            raise BadInputError(f"category == {category!r}, must be a violative one (planted sub-types)")
        for key, row in children.items():
            if key in found:
                raise BadInputError(f"key == {key!r}, must be in the table once (planted sub-types)")
            scene = _scene(row["name"].lower(), CATEGORY_SCENES[named[category]], row["look"], key)
            phrases = {language: tuple(row[language]) for language in ("en", "zh")}
            found[key] = SubType(key, named[category], row["name"], row["description"], scene, phrases)
    return found


def _scene(name: str, base: Scene, look: Mapping[str, Any], key: str) -> Scene:
    """The category's scene with what the look changes, and its marks on top."""
    changed: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value for field, value in look.items()
    }
    also = tuple((mark, share) for mark, share in changed.pop("also", ()))
    emblems = tuple(
        Emblem(one["shape"], one["layout"], (one["hue"][0], one["hue"][1]), one["size"])
        for one in changed.pop("emblems", ())
    )
    if unknown := sorted(changed.keys() - _CHANGED):
        raise BadInputError(f"look has {unknown[0]!r}, must be of {', '.join(sorted(_CHANGED))} (sub-type {key})")
    scene = replace(base, name=name, marks=(*base.marks, *also), emblems=emblems, **changed)
    asked = {
        "backdrops": scene.backdrops,
        "shapes": (*scene.shapes, *(emblem.shape for emblem in emblems)),
        "marks": [mark for mark, _ in scene.marks],
        "layouts": [emblem.layout for emblem in emblems],
        "motion": [scene.motion],
    }
    for kind, values in asked.items():
        for value in values:
            if value not in _NAMED[kind]:
                raise BadInputError(f"{kind} has {value!r}, must be of {', '.join(_NAMED[kind])} (sub-type {key})")
    return scene
