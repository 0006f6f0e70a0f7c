"""The rules of the language: what gives an expression's value, what puts an operation to a map."""

from __future__ import annotations

from genolang.lang import syntax as s
from genolang.semantics.expansion import calls, choices, definitions, expressions, joins, layers, slots, values
from genolang.semantics.expansion.state import Apply, Evaluate

EVALUATE: Evaluate = {
    s.Number: expressions.evaluate_literal,
    s.String: expressions.evaluate_literal,
    s.Bool: expressions.evaluate_literal,
    s.Sequence: expressions.evaluate_sequence,
    s.Name: expressions.evaluate_name,
    s.Attribute: expressions.evaluate_attribute,
    s.Index: expressions.evaluate_index,
    s.If: expressions.evaluate_if,
    s.Pipeline: expressions.evaluate_pipeline,
    s.For: expressions.evaluate_for,
    s.Slot: expressions.evaluate_slot,
    s.Prefix: joins.evaluate_prefix,
    s.Infix: joins.evaluate_infix,
    s.Call: calls.evaluate_call,
    s.Alternatives: choices.evaluate_alternatives,
}
APPLY: Apply = {
    values.PrimitiveOp: layers.apply_primitive,
    values.PipeOp: layers.apply_pipe,
    values.ForkOp: layers.apply_fork,
    values.SharedOp: layers.apply_shared,
    values.DefinedOp: definitions.apply_definition,
    values.ChoiceOp: choices.apply_choice,
    values.SlotOp: slots.fill_slot,
}
