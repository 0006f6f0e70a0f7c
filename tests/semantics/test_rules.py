from typing import get_args

from genolang.lang import syntax as s
from genolang.semantics.expansion import values
from genolang.semantics.expansion.rules import APPLY, EVALUATE


def test_every_expression_can_be_evaluated() -> None:
    assert set(EVALUATE) == set(get_args(s.Expr))


def test_every_operation_can_be_put_to_a_map() -> None:
    kinds = {kind for kind in vars(values).values() if isinstance(kind, type) and issubclass(kind, values.Op)}
    assert set(APPLY) == kinds - {values.Op}
