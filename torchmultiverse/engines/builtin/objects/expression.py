"""Arithmetic in the files of objects: ``"=r1 + ear * 0.45"`` over the file's parameters, never evaluated as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from torchmultiverse.errors import SpecError, nearest

_BINARY: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sin": lambda degrees: math.sin(math.radians(degrees)),
    "cos": lambda degrees: math.cos(math.radians(degrees)),
    "sqrt": math.sqrt,
    "min": min,
    "max": max,
}


def number(text: str, values: Mapping[str, float], where: str) -> float:
    """Return the value of an expression of + - * / **, sin and cos (degrees), sqrt, min, max.

    >>> number("r + 2 * sin(30)", {"r": 0.5}, "here")
    1.5

    Raises:
        SpecError: an unknown name, or anything else than arithmetic; names the place.
    """

    def walk(node: ast.AST) -> float:
        match node:
            case ast.Expression():
                return walk(node.body)
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.Name(id=name):
                if name not in values:
                    raise SpecError(f"{where}: '={text}': no parameter '{name}'.{nearest(name, values)}")
                return float(values[name])
            case ast.BinOp() if type(node.op) in _BINARY:
                return _BINARY[type(node.op)](walk(node.left), walk(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -walk(node.operand)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
                return float(_FUNCTIONS[name](*(walk(argument) for argument in node.args)))
        raise SpecError(f"{where}: '={text}' is not arithmetic over numbers, parameters and {', '.join(_FUNCTIONS)}")

    try:
        return walk(ast.parse(text, mode="eval"))
    except (SyntaxError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise SpecError(f"{where}: '={text}': {error}") from None


def solved(value: Any, values: Mapping[str, float], where: str) -> Any:
    """Return JSON with each string that begins with "=" replaced by its number, to nine places."""
    if isinstance(value, str) and value.startswith("=") and value != "=":
        return round(number(value[1:], values, where), 9)
    if isinstance(value, list):
        return [solved(item, values, f"{where}[{k}]") for k, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: solved(item, values, f"{where}.{key}") for key, item in value.items()}
    return value


def parameters(given: Mapping[str, Any], where: str) -> dict[str, float]:
    """Return parameters as numbers; one may be an expression over those before it."""
    values: dict[str, float] = {}
    for name, value in given.items():
        found = solved(value, values, f"{where}.{name}")
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise SpecError(f"{where}.{name} = {value!r}; a number or an expression is needed")
        values[name] = float(found)
    return values
