"""Put back together what an exporter took apart: layer norms, GELUs, linear layers.

Beside the speed this is what makes half precision possible: the variance of a norm written as
single operators leaves its range, the norm itself sums in single precision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ditto_avatar.face.ditto.runtime.sound.graph import Array, Graph, Step, uses

Found = tuple[Step, list[Step]]


class _Patterns:
    """Looks for chains of steps of which only the last one's result is used elsewhere."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.made = {name: step for step in graph.steps for name in step.outputs}
        self.used = uses(graph)

    def maker(self, name: str, kind: str) -> Step | None:
        """The step that made a value, if it is of that kind."""
        step = self.made.get(name)
        return step if step is not None and step.kind == kind else None

    def constant(self, name: str) -> Array | None:
        return self.graph.constants.get(name)

    def scalar(self, name: str) -> float | None:
        array = self.constant(name)
        return None if array is None or array.size != 1 else float(array.reshape(-1)[0])

    def either(self, step: Step, kind: str) -> tuple[Step, str] | None:
        """One input of a step that a step of `kind` made, and the name of the other input."""
        first, second = step.inputs[:2]
        for one, other in ((first, second), (second, first)):
            found = self.maker(one, kind)
            if found is not None:
                return found, other
        return None

    def alone(self, inner: list[Step], last: Step) -> bool:
        """Whether nobody else reads what the inner steps give."""
        inside = {id(step) for step in [*inner, last]}
        return all(
            name != self.graph.result and all(id(user) in inside for user in self.used[name])
            for step in inner
            for name in step.outputs
        )

    def linear(self, add: Step) -> Found | None:
        """MatMul with a constant (k, n), then Add of a constant (n,)."""
        if add.kind != "Add" or (pair := self.either(add, "MatMul")) is None:
            return None
        product, bias = pair
        weight, offset = self.constant(product.inputs[1]), self.constant(bias)
        if weight is None or offset is None or weight.ndim != 2 or offset.shape != weight.shape[1:]:
            return None
        name = f"{product.inputs[1]}.transposed"
        self.graph.constants[name] = np.ascontiguousarray(weight.T)
        return Step("Linear", (product.inputs[0], name, bias), add.outputs), [product]

    def gelu(self, last: Step) -> Found | None:
        """0.5 · x · (1 + erf(x / √2)), the factor last."""
        if last.kind != "Mul" or (pair := self.either(last, "Mul")) is None:
            return None
        product, half = pair
        if self.scalar(half) != 0.5:
            return None
        # x may be a sum, too.
        for name, x in (product.inputs, product.inputs[::-1]):
            add = self.maker(name, "Add")
            pair = None if add is None else self.either(add, "Erf")
            if add is None or pair is None or self.scalar(pair[1]) != 1:
                continue
            erf = pair[0]
            scaled = self.maker(erf.inputs[0], "Div")
            root = None if scaled is None else self.scalar(scaled.inputs[1])
            if scaled is None or scaled.inputs[0] != x or root is None or abs(root**2 - 2) > 1e-5:
                return None
            return Step("Gelu", (x,), last.outputs), [scaled, erf, add, product]
        return None

    def norm(self, last: Step) -> Found | None:
        """(x − mean) / √(mean of squares + epsilon) · weight + bias over the last axis."""
        if last.kind != "Add" or (pair := self.either(last, "Mul")) is None:
            return None
        scaled, bias = pair
        if (pair := self.either(scaled, "Div")) is None:
            return None
        divided, weight = pair
        centred, root = (
            self.maker(n, k) for n, k in zip(divided.inputs, ("Sub", "Sqrt"), strict=True)
        )
        if centred is None or root is None or (add := self.maker(root.inputs[0], "Add")) is None:
            return None
        if (pair := self.either(add, "ReduceMean")) is None or self.scalar(pair[1]) is None:
            return None
        variance, epsilon = pair[0], self.scalar(pair[1])
        square = self.maker(variance.inputs[0], "Pow")
        mean = self.maker(centred.inputs[1], "ReduceMean")
        if square is None or mean is None or mean.inputs[0] != centred.inputs[0]:
            return None
        if square.inputs[0] != centred.outputs[0] or self.scalar(square.inputs[1]) != 2:
            return None
        factor, offset = self.constant(weight), self.constant(bias)
        if factor is None or offset is None or factor.ndim != 1 or offset.shape != factor.shape:
            return None
        if not all(self._over_last(step) for step in (mean, variance)):
            return None
        step = Step(
            "LayerNormalization",
            (centred.inputs[0], weight, bias),
            last.outputs,
            {"epsilon": epsilon},
        )
        return step, [mean, centred, square, variance, add, root, divided, scaled]

    def _over_last(self, step: Step) -> bool:
        axes = step.attributes.get("axes")
        if len(step.inputs) > 1:
            array = self.constant(step.inputs[1])
            axes = None if array is None else array.reshape(-1).tolist()
        return list(axes or ()) == [-1] and bool(step.attributes.get("keepdims", 1))


def fuse(graph: Graph) -> Graph:
    """The same graph with fewer steps."""
    for pattern in (_Patterns.norm, _Patterns.gelu, _Patterns.linear):
        graph = _replaced(graph, pattern)
    return graph


def _replaced(graph: Graph, pattern: Callable[[_Patterns, Step], Found | None]) -> Graph:
    patterns = _Patterns(graph)
    gone: set[int] = set()
    instead: dict[int, Step] = {}
    for last in graph.steps:
        found = pattern(patterns, last)
        if found is not None and patterns.alone(found[1], last):
            instead[id(last)] = found[0]
            gone |= {id(step) for step in found[1]}
    steps = [instead.get(id(step), step) for step in graph.steps if id(step) not in gone]
    return Graph(graph.source, graph.result, steps, graph.constants)
