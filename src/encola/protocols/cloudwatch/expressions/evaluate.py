"""Evaluates metric math."""

import math
from collections.abc import Mapping, Sequence

from encola.protocols.cloudwatch.expressions.functions import FUNCTIONS, NOT_SERVED
from encola.protocols.cloudwatch.expressions.operators import negated, operate
from encola.protocols.cloudwatch.expressions.parser import (
    Call,
    Chain,
    Expression,
    Listed,
    Negated,
    Node,
    Number,
    Reference,
    Text,
)
from encola.protocols.cloudwatch.expressions.tokens import ExpressionError
from encola.protocols.cloudwatch.expressions.values import Array, Series, Value, Work, kept, name_of


class Evaluator:
    """``known`` has the values of queries by Id; ``metrics`` those that METRICS() means, in the order of the request.

    ``grid`` has the times of a series that is made of a scalar.
    """

    def __init__(
        self, known: Mapping[str, Series | Array], metrics: Sequence[tuple[str, Series]], grid: range, work: Work
    ) -> None:
        self._known = known
        self._metrics = metrics
        self._grid = grid
        self._work = work

    def evaluate(self, expression: Expression) -> Series | Array:
        """Raises ExpressionError, and nothing else."""
        value = self._value(expression.root)
        if isinstance(value, Series | list):
            return value
        raise ExpressionError(f"The result must be a time series or an array of time series, not {name_of(value)}")

    def _value(self, node: Node) -> Value:
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Reference):
            return self._referred(node.id)
        if isinstance(node, Negated):
            return negated(self._value(node.operand), self._work)
        if isinstance(node, Chain):
            value = self._value(node.first)
            for sign, operand in node.rest:
                value = operate(sign, value, self._value(operand), self._work)
            return value
        if isinstance(node, Listed):
            return self._listed(node)
        if isinstance(node, Call):
            return self._called(node)
        return node  # a word or a text: it is for the function that takes it

    def _referred(self, name: str) -> Value:
        found = self._known.get(name)
        if found is None:
            raise ExpressionError(f"There is no query with the Id {name[:100]}")
        return found

    def _listed(self, node: Listed) -> Array:
        """Series and arrays in one array; a scalar among them is a series that always has this value."""
        values = [self._value(item) for item in node.items]
        grid = next((one.grid for value in values for one in _series_in(value)), self._grid)
        found: Array = []
        for value in values:
            if isinstance(value, float):
                self._work.spend(len(grid))
                found.append(kept(Series({}, grid), ((at, value) for at in grid) if math.isfinite(value) else ()))
            elif isinstance(value, Series | list):
                found.extend(_series_in(value))
            else:
                raise ExpressionError(f"An array cannot hold {name_of(value)}")
        self._work.spend(len(found))
        return found

    def _called(self, node: Call) -> Value:
        if node.name == "METRICS":
            part = node.arguments[0].value if node.arguments and isinstance(node.arguments[0], Text) else ""
            self._work.spend(len(self._metrics))
            return [series for name, series in self._metrics if part in name]
        function = FUNCTIONS.get(node.name)
        if function is None:
            known = "is not supported" if node.name in NOT_SERVED else "is not known"
            raise ExpressionError(f"The function {node.name[:100]} {known}")
        arguments = [self._value(one) for one in node.arguments]
        try:
            return function(arguments, self._grid, self._work)
        except ExpressionError as error:
            raise ExpressionError(f"{node.name}: {error}") from None


def _series_in(value: Value) -> Array:
    if isinstance(value, Series):
        return [value]
    return value if isinstance(value, list) else []
