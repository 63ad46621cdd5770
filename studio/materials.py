"""Skin, eyes, hair and cloth as Cycles shaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy  # type: ignore[import-not-found]
import numpy as np

from studio.figure import Figure


class _Shader:
    """A material's node tree with short hands for making and linking nodes."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.add("ShaderNodeOutputMaterial")

    def add(self, kind: str, **settings: Any) -> Any:
        """A node; settings are attributes, or inputs where an input has that name."""
        node = self.tree.nodes.new(kind)
        for key, value in settings.items():
            setattr(node, key, value)
        return node

    def set(self, node: Any, **inputs: Any) -> Any:
        """Set or link inputs by name (underscores stand for spaces)."""
        for key, value in inputs.items():
            self.into(node.inputs[key.replace("_", " ")], value)
        return node

    def into(self, socket: Any, value: Any) -> None:
        """Link an output to a socket, or set the socket's value."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def picture(self, path: Path, colour: bool = True) -> Any:
        node = self.add("ShaderNodeTexImage", interpolation="Cubic")
        node.image = bpy.data.images.load(str(path), check_existing=True)
        if not colour:
            node.image.colorspace_settings.name = "Non-Color"
        return node

    def attribute(self, name: str) -> Any:
        return self.add("ShaderNodeAttribute", attribute_name=name)

    def mix(self, factor: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
        """A colour mix's output."""
        node = self.add("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        self.into(node.inputs[0], factor)
        self.into(node.inputs[6], a)
        self.into(node.inputs[7], b)
        return node.outputs[2]

    def math(self, operation: str, a: Any, b: Any = 0.0, c: Any = 0.0) -> Any:
        """A number out of numbers."""
        node = self.add("ShaderNodeMath", operation=operation)
        for socket, value in zip(node.inputs, (a, b, c), strict=False):
            self.into(socket, value)
        return node.outputs[0]

    def adjusted(self, colour: Any, saturation: float, gain: tuple[float, float, float]) -> Any:
        """A colour with more or less saturation and its channels scaled."""
        hsv = self.add("ShaderNodeHueSaturation")
        self.set(hsv, Saturation=saturation, Color=colour)
        return self.mix(1.0, hsv.outputs[0], (*gain, 1.0), "MULTIPLY")

    def noise(self, where: Any, scale: float, detail: float = 3.0, rough: float = 0.55) -> Any:
        node = self.add("ShaderNodeTexNoise")
        self.set(node, Vector=where, Scale=scale, Detail=detail, Roughness=rough)
        return node.outputs[0]

    def bump(self, height: Any, strength: float, distance_mm: float, normal: Any = None) -> Any:
        node = self.add("ShaderNodeBump")
        self.set(node, Height=height, Strength=strength, Distance=distance_mm / 1000)
        if normal is not None:
            self.into(node.inputs["Normal"], normal)
        return node.outputs[0]

    def finish(self, surface: Any) -> Any:
        self.tree.links.new(surface, self.output.inputs["Surface"])
        return self.material


def apply(name: str, data: Any, figure: Figure, shaded: bool = True) -> None:
    """Give a mesh of the figure its material; one that is not `shaded` shows only what covers."""
    if not shaded:
        data.materials.append(_covering(name, figure))
        return
    maker = {
        "skin": _skin,
        "hair": _hair,
        "clothes": _cloth,
        "eyebrows": _strands,
        "eyelashes": _strands,
        "eyes": _eyes,
        "teeth": _teeth,
        "tongue": _tongue,
    }[name]
    data.materials.append(maker(name, figure))
    if name == "eyes":
        data.materials.append(_cornea())
        _assign_cornea(data, figure)


def _covering(name: str, figure: Figure) -> Any:
    """White where the part is, and as transparent as its shaded material."""
    shader = _Shader(name)
    white = shader.add("ShaderNodeEmission").outputs[0]
    if name in ("skin", "eyes", "tongue"):
        return shader.finish(white)
    alpha = shader.picture(_texture(name, figure)).outputs[1]
    if name == "eyelashes":
        alpha = shader.math("MULTIPLY", alpha, figure.character.lash_amount)
    blend = shader.add("ShaderNodeMixShader")
    shader.into(blend.inputs[0], alpha)
    shader.into(blend.inputs[1], shader.add("ShaderNodeBsdfTransparent").outputs[0])
    shader.into(blend.inputs[2], white)
    return shader.finish(blend.outputs[0])


def _texture(name: str, figure: Figure) -> Path:
    return figure.parts[name].texture


def _skin(name: str, figure: Figure) -> Any:
    character = figure.character
    shader = _Shader(name)
    picture = shader.picture(figure.kit / "skins" / character.skin)
    rest = shader.attribute("rest").outputs["Vector"]
    colour = shader.adjusted(picture.outputs[0], character.skin_saturation, character.skin_gain)
    # The kit's texture is soft at this size: mottling gives the skin its small unevenness back.
    patches = shader.noise(rest, 9.0, 4.0)
    grain = shader.noise(rest, 60.0, 3.0)
    colour = shader.mix(
        shader.math("MULTIPLY", patches, 0.1), colour, (0.62, 0.24, 0.18, 1), "OVERLAY"
    )
    colour = shader.mix(
        shader.math("MULTIPLY", grain, 0.12), colour, (0.35, 0.3, 0.28, 1), "SOFT_LIGHT"
    )
    lips = shader.attribute("lips").outputs["Fac"]
    blush = shader.attribute("blush").outputs["Fac"]
    colour = shader.mix(
        shader.math("MULTIPLY", blush, character.blush), colour, (0.7, 0.2, 0.17, 1)
    )
    colour = shader.mix(
        shader.math("MULTIPLY", lips, character.lip_amount), colour, (*character.lip_colour, 1)
    )
    lids = shader.attribute("lids").outputs["Fac"]
    colour = shader.mix(
        shader.math("MULTIPLY", lids, character.lid_amount), colour, (0.05, 0.025, 0.02, 1)
    )
    # Where hair begins the scalp shows through it: no wig's edge.
    hairline = shader.math(
        "MULTIPLY", shader.attribute("hairline").outputs["Fac"], character.hairline
    )
    hairline = shader.math(
        "MULTIPLY", hairline, shader.math("MULTIPLY_ADD", shader.noise(rest, 40.0, 2.0), 0.8, 0.6)
    )
    colour = shader.mix(hairline, colour, (*character.root_colour, 1))
    pores = shader.add("ShaderNodeTexVoronoi", feature="F1")
    shader.set(pores, Vector=rest, Scale=75.0)
    fine = shader.noise(rest, 140.0, 2.0)
    height = shader.math("ADD", shader.math("MULTIPLY", pores.outputs["Distance"], 0.6), fine)
    normal = shader.bump(height, 0.35, 0.25)
    principled = shader.add("ShaderNodeBsdfPrincipled", subsurface_method="RANDOM_WALK")
    rough = shader.math("MULTIPLY_ADD", patches, 0.16, 0.40)
    rough = shader.math("SUBTRACT", rough, shader.math("MULTIPLY", lips, 0.14))
    shader.set(
        principled,
        Base_Color=colour,
        Roughness=rough,
        Specular_IOR_Level=0.4,
        Subsurface_Weight=0.85,
        Subsurface_Radius=(1.0, 0.36, 0.18),
        Subsurface_Scale=character.subsurface_mm / 1000,
        Normal=normal,
    )
    return shader.finish(principled.outputs[0])


def _hair(name: str, figure: Figure) -> Any:
    """The kit's picture gives the locks; noise drawn out along them gives the single hairs."""
    character = figure.character
    shader = _Shader(name)
    picture = shader.picture(_texture(name, figure))
    colour = shader.adjusted(picture.outputs[0], character.hair_saturation, character.hair_gain)
    along = shader.set(
        shader.add("ShaderNodeMapping"),
        Vector=shader.add("ShaderNodeUVMap").outputs[0],
        Scale=(*character.hair_strands, 1.0),
    )
    strands = shader.noise(along.outputs[0], 1.0, 4.0, 0.65)
    contrast = shader.math("MULTIPLY_ADD", strands, 1.8, 0.0)
    colour = shader.mix(0.7, colour, shader.mix(1.0, colour, _grey(shader, contrast), "MULTIPLY"))
    grey = shader.math("MULTIPLY", shader.math("GREATER_THAN", strands, 0.56), character.grey)
    colour = shader.mix(grey, colour, (0.42, 0.41, 0.40, 1))
    normal = shader.bump(strands, 0.9, 1.2)
    principled = shader.add("ShaderNodeBsdfPrincipled")
    shader.set(
        principled,
        Base_Color=colour,
        Roughness=shader.math("MULTIPLY_ADD", strands, 0.3, character.hair_roughness - 0.15),
        Specular_IOR_Level=character.hair_specular,
        Alpha=picture.outputs[1],
        Normal=normal,
    )
    return shader.finish(principled.outputs[0])


def _grey(shader: _Shader, value: Any) -> Any:
    """A number as a grey colour."""
    node = shader.add("ShaderNodeCombineColor")
    for socket in node.inputs[:3]:
        shader.into(socket, value)
    return node.outputs[0]


def _strands(name: str, figure: Figure) -> Any:
    """Lashes and brows: dark, matt, shaped by the picture's alpha."""
    shader = _Shader(name)
    picture = shader.picture(_texture(name, figure))
    character = figure.character
    lashes = name == "eyelashes"
    dark = character.lash_colour if lashes else character.brow_colour
    alpha = shader.math("MULTIPLY", picture.outputs[1], character.lash_amount if lashes else 1.0)
    principled = shader.add("ShaderNodeBsdfPrincipled")
    shader.set(
        principled,
        Base_Color=(*dark, 1),
        Roughness=0.6,
        Specular_IOR_Level=0.2,
        Alpha=alpha,
    )
    return shader.finish(principled.outputs[0])


def _cloth(name: str, figure: Figure) -> Any:
    character = figure.character
    shader = _Shader(name)
    texture = _texture(name, figure)
    picture = shader.picture(texture)
    colour = shader.adjusted(picture.outputs[0], 1.0, character.cloth_tint)
    if character.top is not None:
        # The folds' shading stays in the normal map; the pattern goes.
        colour = shader.mix(character.top_amount, colour, (*character.top, 1))
    shade = texture.with_name(texture.name.replace("diffuse", "ao"))
    if shade.is_file():
        occluded = shader.picture(shade, colour=False).outputs[0]
        colour = shader.mix(0.8, colour, occluded, "MULTIPLY")
    rest = shader.attribute("rest").outputs["Vector"]
    weave = shader.bump(shader.noise(rest, 220.0, 1.0), 0.25, 0.3)
    bumped = texture.with_name(texture.name.replace("diffuse", "normal"))
    if bumped.is_file():
        folds = shader.add("ShaderNodeNormalMap")
        shader.set(folds, Color=shader.picture(bumped, colour=False).outputs[0], Strength=1.4)
        weave = shader.bump(shader.noise(rest, 220.0, 1.0), 0.25, 0.3, folds.outputs[0])
    principled = shader.add("ShaderNodeBsdfPrincipled")
    shader.set(
        principled,
        Base_Color=colour,
        Roughness=0.75,
        Specular_IOR_Level=0.25,
        Sheen_Weight=0.25,
        Sheen_Roughness=0.5,
        Alpha=picture.outputs[1],
        Normal=weave,
    )
    return shader.finish(principled.outputs[0])


def _eyes(name: str, figure: Figure) -> Any:
    shader = _Shader(name)
    picture = shader.picture(_texture(name, figure))
    principled = shader.add("ShaderNodeBsdfPrincipled")
    shader.set(
        principled,
        Base_Color=shader.adjusted(picture.outputs[0], 0.95, (0.92, 0.92, 0.94)),
        Roughness=0.25,
        Specular_IOR_Level=0.5,
        Coat_Weight=0.6,
        Coat_Roughness=0.04,
    )
    return shader.finish(principled.outputs[0])


def _cornea() -> Any:
    """A clear shell that only mirrors: what lies behind must not be darkened."""
    shader = _Shader("cornea")
    fresnel = shader.set(shader.add("ShaderNodeFresnel"), IOR=1.376)
    mirror = shader.set(shader.add("ShaderNodeBsdfGlossy"), Roughness=0.03)
    clear = shader.add("ShaderNodeBsdfTransparent")
    blend = shader.add("ShaderNodeMixShader")
    shader.into(blend.inputs[0], fresnel.outputs[0])
    shader.into(blend.inputs[1], clear.outputs[0])
    shader.into(blend.inputs[2], mirror.outputs[0])
    return shader.finish(blend.outputs[0])


def _assign_cornea(data: Any, figure: Figure) -> None:
    """The shell's faces share the transparent corner of the eyes' picture."""
    shell = np.asarray(figure.cornea_faces())
    data.polygons.foreach_set("material_index", shell.astype(np.int32))


def _teeth(name: str, figure: Figure) -> Any:
    shader = _Shader(name)
    picture = shader.picture(_texture(name, figure))
    principled = shader.add("ShaderNodeBsdfPrincipled", subsurface_method="RANDOM_WALK")
    shader.set(
        principled,
        Base_Color=shader.adjusted(picture.outputs[0], 0.75, (1.25, 1.2, 1.12)),
        Roughness=0.22,
        Specular_IOR_Level=0.5,
        Subsurface_Weight=0.3,
        Subsurface_Radius=(0.6, 0.5, 0.4),
        Subsurface_Scale=0.001,
        Alpha=picture.outputs[1],
    )
    return shader.finish(principled.outputs[0])


def _tongue(name: str, figure: Figure) -> Any:
    shader = _Shader(name)
    picture = shader.picture(_texture(name, figure))
    rest = shader.attribute("rest").outputs["Vector"]
    principled = shader.add("ShaderNodeBsdfPrincipled", subsurface_method="RANDOM_WALK")
    shader.set(
        principled,
        Base_Color=shader.adjusted(picture.outputs[0], 1.0, (0.75, 0.5, 0.5)),
        Roughness=0.3,
        Subsurface_Weight=0.5,
        Subsurface_Radius=(1.0, 0.4, 0.3),
        Subsurface_Scale=0.002,
        Normal=shader.bump(shader.noise(rest, 90.0, 2.0), 0.4, 0.4),
    )
    return shader.finish(principled.outputs[0])
