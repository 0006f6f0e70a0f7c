"""The rules of the language: what gives an expression's value, what puts an operation to a map."""

from __future__ import annotations

from genolang.lang import syntax as s
from genolang.semantics.expansion.calls import evaluate_call
from genolang.semantics.expansion.choices import apply_choice, evaluate_alternatives
from genolang.semantics.expansion.definitions import apply_definition
from genolang.semantics.expansion.expressions import (
    evaluate_attribute,
    evaluate_for,
    evaluate_if,
    evaluate_index,
    evaluate_literal,
    evaluate_name,
    evaluate_pipeline,
    evaluate_sequence,
    evaluate_slot,
)
from genolang.semantics.expansion.joins import evaluate_infix, evaluate_prefix
from genolang.semantics.expansion.layers import (
    apply_fork,
    apply_pipe,
    apply_primitive,
    apply_shared,
)
from genolang.semantics.expansion.slots import fill_slot
from genolang.semantics.expansion.state import Apply, Evaluate
from genolang.semantics.expansion.values import (
    ChoiceOp,
    DefinedOp,
    ForkOp,
    PipeOp,
    PrimitiveOp,
    SharedOp,
    SlotOp,
)

EVALUATE: Evaluate = {
    s.Number: evaluate_literal, s.String: evaluate_literal, s.Bool: evaluate_literal,
    s.Name: evaluate_name, s.Attribute: evaluate_attribute, s.Index: evaluate_index,
    s.Sequence: evaluate_sequence, s.Prefix: evaluate_prefix, s.Infix: evaluate_infix,
    s.If: evaluate_if, s.For: evaluate_for, s.Pipeline: evaluate_pipeline, s.Call: evaluate_call,
    s.Alternatives: evaluate_alternatives, s.Slot: evaluate_slot,
}  # fmt: skip
APPLY: Apply = {
    PrimitiveOp: apply_primitive, DefinedOp: apply_definition, PipeOp: apply_pipe, ForkOp: apply_fork,
    ChoiceOp: apply_choice, SharedOp: apply_shared, SlotOp: fill_slot,
}  # fmt: skip
