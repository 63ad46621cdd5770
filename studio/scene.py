"""The set: a figure, three lights and a camera in Blender's Cycles. The only module with bpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import-not-found]
import numpy as np

from studio import materials
from studio.camera import HEIGHT, WIDTH, Camera
from studio.figure import Figure, Pose
from studio.kit import Points

EDGE_MIN_SAMPLES = 8
EDGE_NOISE = 1.28
METRE = 0.1
"""A decimetre of the kit in Blender's metres."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a picture is drawn: samples a pixel, and the device, `cpu` or `gpu`. One that is not
    `shaded` is white, and only its alpha is of use: it takes a tenth of the time. `seed` is added
    to the character's, for noise of another kind."""

    samples: int = 48
    device: str = "cpu"
    shaded: bool = True
    seed: int = 0


def to_blender(points: Points) -> Points:
    """The kit's Y-up decimetres (n, 3) as Blender's Z-up metres."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1) * METRE


class Scene:
    """One figure on the set. `pose` moves it, `render` writes a picture with alpha."""

    def __init__(self, figure: Figure, camera: Camera, quality: Quality) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.figure = figure
        self.camera = camera
        self._quality = quality
        self._objects: dict[str, Any] = {}
        for name in figure.meshes:
            self._objects[name] = self._add_mesh(name)
        self._add_camera()
        self._add_lights()
        self._configure(quality)
        if not quality.shaded:
            _sample_edges(quality.samples)

    def _add_mesh(self, name: str) -> Any:
        mesh, rest = self.figure.meshes[name], self.figure.rest[name]
        data = bpy.data.meshes.new(name)
        corners = [face[:3] if face[2] == face[3] else face for face in mesh.faces.tolist()]
        data.from_pydata(to_blender(rest).tolist(), [], corners)
        layer = data.uv_layers.new(name="uv")
        uvs = [
            uv
            for face, row in zip(corners, mesh.corner_uvs.tolist(), strict=True)
            for uv in row[: len(face)]
        ]
        layer.data.foreach_set("uv", np.array(uvs, np.float32).ravel())
        data.polygons.foreach_set("use_smooth", [True] * len(corners))
        # Procedural skin must stick to the face, so it reads where each vertex rests.
        where = data.attributes.new("rest", "FLOAT_VECTOR", "POINT")
        where.data.foreach_set("vector", rest.astype(np.float32).ravel())
        for key, values in self.figure.paint(name).items():
            attribute = data.attributes.new(key, "FLOAT", "POINT")
            attribute.data.foreach_set("value", values.astype(np.float32))
        materials.apply(name, data, self.figure, self._quality.shaded)
        thing = bpy.data.objects.new(name, data)
        bpy.context.scene.collection.objects.link(thing)
        return thing

    def _add_camera(self) -> None:
        camera, eye = self.camera, bpy.data.cameras.new("camera")
        eye.sensor_fit = "VERTICAL"
        eye.sensor_height = 36.0
        eye.lens = 36.0 * camera.distance / camera.span
        eye.shift_y = (camera.centre_y - camera.eye_y) / camera.span
        eye.clip_start, eye.clip_end = 0.1, 20.0
        thing = bpy.data.objects.new("camera", eye)
        angle = np.radians(camera.turn)
        thing.location = (
            METRE * camera.distance * np.sin(angle),
            -METRE * (camera.distance * np.cos(angle) + camera.focus_z),
            METRE * camera.eye_y,
        )
        thing.rotation_euler = (np.pi / 2, 0, angle)
        bpy.context.scene.collection.objects.link(thing)
        bpy.context.scene.camera = thing

    def _add_lights(self) -> None:
        """Key from the upper left of the picture, fill from the right, two rims from behind."""
        for name, place, size, power, colour in LIGHTS:
            lamp = bpy.data.lights.new(name, "AREA")
            lamp.shape, lamp.size = "DISK", size
            lamp.energy, lamp.color = power, colour
            thing = bpy.data.objects.new(name, lamp)
            eyes = METRE * (self.camera.eye_y - 0.2)
            target = np.array([0.0, -METRE * self.camera.focus_z, eyes])
            thing.location = target + np.array(place)
            away = np.array(place) / np.linalg.norm(place)
            thing.rotation_euler = (
                float(np.arccos(away[2])),
                0.0,
                float(np.arctan2(away[1], away[0]) + np.pi / 2),
            )
            bpy.context.scene.collection.objects.link(thing)
        world = bpy.data.worlds.new("world")
        world.use_nodes = True
        ground = world.node_tree.nodes["Background"]
        ground.inputs["Color"].default_value = (0.55, 0.62, 0.72, 1)
        ground.inputs["Strength"].default_value = 0.35
        bpy.context.scene.world = world

    def _configure(self, quality: Quality) -> None:
        scene = bpy.context.scene
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.samples = quality.samples
        cycles.use_adaptive_sampling = False
        cycles.seed = self.figure.character.seed + quality.seed
        cycles.use_animated_seed = False
        cycles.use_denoising = True
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        cycles.denoising_prefilter = "ACCURATE"
        cycles.max_bounces = 6
        cycles.diffuse_bounces = 3
        cycles.glossy_bounces = 3
        cycles.transmission_bounces = 4
        cycles.transparent_max_bounces = 16
        cycles.sample_clamp_indirect = 4.0
        cycles.caustics_reflective = cycles.caustics_refractive = False
        if quality.device == "gpu":
            use_gpu()
            cycles.device = "GPU"
            cycles.denoising_use_gpu = True
        render = scene.render
        render.resolution_x, render.resolution_y = WIDTH, HEIGHT
        render.resolution_percentage = 100
        render.film_transparent = True
        render.use_persistent_data = True
        render.image_settings.file_format = "PNG"
        render.image_settings.color_mode = "RGBA"
        render.image_settings.color_depth = "8"
        render.image_settings.compression = 15
        scene.view_settings.view_transform = "AgX"
        scene.view_settings.look = "AgX - Medium High Contrast"
        scene.view_settings.exposure = self.figure.character.exposure

    def show(self, name: str, *, shown: bool) -> None:
        """Leave a mesh out of the pictures, or show it again."""
        self._objects[name].hide_render = not shown

    def pose(self, pose: Pose) -> None:
        """Move every mesh to a pose."""
        for name, points in self.figure.place(pose).items():
            data = self._objects[name].data
            data.vertices.foreach_set("co", to_blender(points).astype(np.float32).ravel())
            data.update()

    def render(
        self,
        path: Path,
        scale: float = 1.0,
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Write a PNG with alpha; `box` (x, y, width, height in full-size pixels) crops it."""
        render = bpy.context.scene.render
        render.resolution_percentage = round(100 * scale)
        render.use_border = render.use_crop_to_border = box is not None
        if box is not None:
            x, y, width, height = box
            render.border_min_x, render.border_max_x = x / WIDTH, (x + width) / WIDTH
            render.border_min_y = 1 - (y + height) / HEIGHT
            render.border_max_y = 1 - y / HEIGHT
        part = path.with_name(f".{path.stem}.part.png")
        render.filepath = str(part)
        bpy.ops.render.render(write_still=True)
        # A stopped run must not leave half a picture under the final name.
        part.rename(path)


LIGHTS: tuple[
    tuple[str, tuple[float, float, float], float, float, tuple[float, float, float]], ...
] = (
    ("key", (-0.75, -0.95, 0.55), 0.7, 19.0, (1.0, 0.93, 0.86)),
    ("fill", (1.1, -1.0, 0.1), 1.1, 6.0, (0.88, 0.94, 1.0)),
    ("rim left", (-0.8, 0.75, 0.55), 0.6, 6.0, (0.9, 0.95, 1.0)),
    ("rim right", (0.85, 0.7, 0.6), 0.6, 7.0, (1.0, 0.95, 0.88)),
)
"""Name, place from the face in metres, diameter in metres, watts, colour."""


def _sample_edges(samples: int) -> None:
    """Take many samples only where they differ; what is white needs no light and no denoising."""
    cycles = bpy.context.scene.cycles
    cycles.use_denoising = False
    cycles.use_adaptive_sampling = True
    cycles.adaptive_min_samples = EDGE_MIN_SAMPLES
    cycles.adaptive_threshold = EDGE_NOISE / samples
    cycles.max_bounces = 0
    # Without this an opaque white pixel is not quite white.
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.context.scene.view_settings.look = "None"
    bpy.context.scene.view_settings.exposure = 0.0


def use_gpu() -> None:
    """Let Cycles draw on every CUDA device. Raises RuntimeError when there is none."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = "CUDA"
    preferences.refresh_devices()
    found = [device for device in preferences.devices if device.type == "CUDA"]
    if not found:
        raise RuntimeError("no CUDA device found: draw with --device cpu")
    for device in preferences.devices:
        device.use = device.type == "CUDA"
