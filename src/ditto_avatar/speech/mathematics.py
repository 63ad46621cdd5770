"""LaTeX as simple mathematics: what a teacher would say for it.

Fractions, roots, powers, indices, Greek letters and common signs are known; of other commands the
name is left out. The result still holds signs such as ``=`` and ``^``, which the reading of each
language puts into words.
"""

from __future__ import annotations

import re

from ditto_avatar.types import Language

_EN, _KO = Language.ENGLISH, Language.KOREAN
_GREEK = dict(
    pair.split(":")
    for pair in (
        "alpha:알파 beta:베타 gamma:감마 delta:델타 epsilon:엡실론 zeta:제타 eta:에타 theta:세타 "
        "iota:이오타 kappa:카파 lambda:람다 mu:뮤 nu:뉴 xi:크시 pi:파이 rho:로 sigma:시그마 "
        "tau:타우 phi:파이 chi:카이 psi:프사이 omega:오메가"
    ).split()
)
_SIGNS = {
    "times": "×", "cdot": "×", "ast": "×", "div": "÷", "pm": "±", "leq": "≤", "le": "≤",
    "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠", "approx": "≈", "sim": "≈", "equiv": "=",
    "infty": "∞", "to": "→", "rightarrow": "→", "degree": "°", "circ": "°", "%": "%", "in": "∈",
    "lt": "<", "gt": ">", "&": "&", "#": "#", "ldots": "...", "dots": "...", "cdots": "...",
}  # fmt: skip
_WORDS = {
    "sum": {_EN: "the sum of", _KO: "합"},
    "prod": {_EN: "the product of", _KO: "곱"},
    "int": {_EN: "the integral of", _KO: "적분"},
    "lim": {_EN: "the limit of", _KO: "극한"},
    "log": {_EN: "log", _KO: "로그"},
    "ln": {_EN: "natural log", _KO: "자연로그"},
    "sin": {_EN: "sine", _KO: "사인"},
    "cos": {_EN: "cosine", _KO: "코사인"},
    "tan": {_EN: "tangent", _KO: "탄젠트"},
    "partial": {_EN: "partial", _KO: "편미분"},
    "Rightarrow": {_EN: "so", _KO: "따라서"},
    "implies": {_EN: "so", _KO: "따라서"},
    "therefore": {_EN: "therefore", _KO: "따라서"},
    "cup": {_EN: "union", _KO: "합집합"},
    "cap": {_EN: "intersection", _KO: "교집합"},
    "$": {_EN: " dollars ", _KO: " 달러 "},
}
_ROOT = {
    _EN: {"": "the square root of", "2": "the square root of", "3": "the cube root of"},
    _KO: {"": "루트", "2": "루트", "3": "세제곱근"},
}
_BLOCK = re.compile(
    r"\$\$(?P<a>[^$]{1,600}?)\$\$|\\\[(?P<b>.{1,600}?)\\\]|\\\((?P<c>.{1,600}?)\\\)"
    r"|(?<![\w$\\])\$(?P<d>[^\s$](?:[^$\n]{0,200}?[^\s$\\])?)\$(?![\w$])",
    re.DOTALL,
)
# Between single dollars stands mathematics, or two prices: these tell.
_MATHEMATICAL = re.compile(r"[\\^_=+<>]|^-?[A-Za-z]'?$|^[A-Za-z]\([A-Za-z]\)$")
_PRICES = re.compile(r"^\d[\d,.]*\s+[a-z]{2,}")
_BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_FRACTION = re.compile(rf"\\[dtc]?frac\s*(?:{_BRACED}|(\d))\s*(?:{_BRACED}|(\d))")
_SQUARE_ROOT = re.compile(rf"\\sqrt\s*(?:\[(\w+)\])?\s*(?:{_BRACED}|(\w))")
_TEXT = re.compile(
    rf"\\(?:text|mathrm|mathbf|mathit|operatorname|textbf|boxed|mathbb|vec|hat|bar|"
    rf"overline|underline)\s*{_BRACED}"
)
_INDEX = re.compile(rf"_\s*(?:{_BRACED}|(\w))")
_COMMAND = re.compile(r"\\([A-Za-z]+|[%&#$,;:!\\ {}])")
_KNOWN = re.compile(
    r"\\(?:[dtc]?frac|sqrt|times|cdot|div|pm|leq|geq|neq|approx|pi|alpha|beta|theta"
    r"|infty|sum|int|text|degree|circ)(?![a-z])"
)
_LETTERS = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{2,3}(?![A-Za-z])")
_DEEPEST = 4
_NO_PRODUCT = frozenset("sin cos tan log ln lim max min mod the of to and so is if".split())


def read_latex(text: str, language: Language) -> str:
    """Put formulas of `text` into words and plain signs."""
    if "$" not in text and "\\" not in text:
        return text
    text = _BLOCK.sub(lambda match: _block(match, language), text)
    return _formula(text, language) if _KNOWN.search(text) else text


def _block(match: re.Match[str], language: Language) -> str:
    single = match["d"]
    if single is not None and (_MATHEMATICAL.search(single) is None or _PRICES.match(single)):
        return match[0]
    inside = next(group for group in match.groups() if group is not None)
    said = _formula(inside, language)
    # Letters side by side are a product: each is said by itself.
    said = _LETTERS.sub(lambda m: m[0] if m[0] in _NO_PRODUCT else " ".join(m[0]), said)
    return f" {said.strip()} "


def _formula(text: str, language: Language) -> str:
    for _ in range(_DEEPEST):
        text = _TEXT.sub(r" \1 ", text)
        text = _FRACTION.sub(lambda m: _over(m[1] or m[2], m[3] or m[4], language), text)
        text = _SQUARE_ROOT.sub(lambda m: _root(m[1] or "", m[2] or m[3], language), text)
    text = re.sub(r"\^\s*\{?\\circ\}?", "°", text)
    text = _COMMAND.sub(lambda m: _command(m[1], language), text)
    text = _INDEX.sub(lambda m: f" {m[1] or m[2]}", text)
    text = re.sub(r"\^\s*\{([^{}]*)\}", r"^(\1)", text)
    text = re.sub(r"\^\(([-+]?\w+)\)", r"^\1", text)
    return text.replace("{", " ").replace("}", " ")


def _over(top: str, bottom: str, language: Language) -> str:
    if language is _KO:
        return f" {bottom.strip()}분의 {top.strip()} "
    if top.strip().isdigit() and bottom.strip().isdigit():
        return f" {top.strip()}/{bottom.strip()} "
    return f" {top.strip()} over {bottom.strip()} "


def _root(degree: str, inside: str, language: Language) -> str:
    names = _ROOT[language]
    if degree in names:
        return f" {names[degree]} {inside} "
    if language is _KO:
        return f" {degree}제곱근 {inside} "
    return f" root {degree} of {inside} "


def _command(name: str, language: Language) -> str:
    if name in _SIGNS:
        sign = _SIGNS[name]
        return sign if sign == "°" else f" {sign} "
    if name in _WORDS:
        return f" {_WORDS[name][language]} "
    if name.lower() in _GREEK:
        return f" {name.lower() if language is _EN else _GREEK[name.lower()]} "
    return " "
