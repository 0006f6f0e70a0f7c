"""Slots: taking up what is plugged in, filling them, and what can go wrong with it.

A definition that leads to a slot in use is expanded in place, once per use, so that every slot can be
told from every other and the slots of a stage can share weights and hand on state.
"""

from __future__ import annotations

from dataclasses import replace

from genolang.diagnostics import GenoError, Label, did_you_mean
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.errors import Use, history, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import zero_state
from genolang.semantics.expansion.plugs import OFF, ON, SHARING, Plug, Plugs
from genolang.semantics.expansion.values import SharedOp, SlotOp, describe
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Mix


def read_plugs(ref: DefinitionRef, frame: Frame) -> None:
    """Take up what a network's `with` clauses say; the outermost network's word stands."""
    plugs = frame.expansion.plugs
    for syntax in ref.syntax.plugs:
        slot = syntax.slot.id
        if slot in plugs.by_slot and plugs.by_slot[slot].site is not frame:
            continue
        if slot in plugs.by_slot:
            raise problem(
                frame,
                "G412",
                f"two modules are plugged into the slot `{slot}`",
                syntax.span,
                labels=[Label(plugs.by_slot[slot].syntax.span, "first here")],
            )
        op = frame.operation(syntax.module, "a module is plugged in")
        shared = syntax.shared.id if syntax.shared is not None else "block"
        if shared not in SHARING:
            assert syntax.shared is not None
            message = f"a module is shared per block, stage or network, not per `{shared}`"
            raise problem(frame, "G205", message, syntax.shared.span, help=did_you_mean(shared, SHARING))
        plugs.by_slot[slot] = _placed(Plug(syntax, op, frame, shared, "all"), frame)


def _placed(plug: Plug, frame: Frame) -> Plug:
    where = plug.syntax.where
    if where is None:
        return plug
    plug.kind = where.kind
    if where.kind == "every":
        assert where.value is not None
        start = where.start
        plug.every = frame.whole(where.value), 0 if start is None else frame.whole(start, minimum=0)
    elif where.kind == "bits":
        assert where.value is not None
        value = frame.evaluate(where.value)
        texts = (value,) if isinstance(value, str) else value
        wrong = not isinstance(texts, tuple) or not texts
        if wrong or any(not isinstance(t, str) or set(t) - set("01") for t in texts):
            raise problem(
                frame,
                "G419",
                f"a scheme is bits in strings, one per stage, not {describe(value)}"
                if wrong
                else "a scheme's strings hold the digits 0 and 1 alone",
                where.value.span,
                help='write `where ["001100", "011011", "100100"]`, `where all`, `where every 2` or `where search`',
            )
        plug.bits = texts
    return plug


def begin_stage(stage: int, frame: Frame) -> None:
    """Make room for the weights that the slots of a stage share."""
    frame.expansion.plugs.stage = stage
    _make_room("stage", stage, frame)


def begin_network(frame: Frame) -> None:
    _make_room("network", 0, frame)


def _make_room(shared: str, home: int, frame: Frame) -> None:
    for slot, plug in frame.expansion.plugs.by_slot.items():
        if plug.shared == shared:
            plug.homes[home] = frame.scope.name(slot)
            frame.builder.reserve(plug.homes[home])


def fill_slot(op: SlotOp, value: MapValue, frame: Frame) -> MapValue:
    """The map after what is plugged in here: the map itself where nothing is."""
    plugs = frame.expansion.plugs
    plug = plugs.by_slot.get(op.name)
    if plug is None or plugs.inside:
        return value
    stage = plugs.stage
    index = len(plug.scheme.get(stage, ""))
    sign = plug.next(stage)
    if sign == OFF:
        return value
    before = dict(frame.builder.states)
    result = _plugged(plug, value, frame, stage)
    if sign == ON:
        return result
    key = f"{plug.site.definition}.{op.name}" + (f".stage{stage}" if stage else "")
    where = plug.syntax.where
    assert where is not None
    plug.open.append(key)
    mix = Mix(*frame.expansion.decisions.of_slot(key, op.name, index, plug.site.definition, where.span))
    for path, now in frame.builder.states.items():
        old = before.get(path) or tuple(zero_state(m, frame, where.span) for m in now)
        if old != now:
            frame.builder.states[path] = tuple(
                frame.builder.mix(mix, [a, b], where.span) for a, b in zip(old, now, strict=True)
            )
    return frame.builder.mix(mix, [value, result], where.span)


def _plugged(plug: Plug, value: MapValue, frame: Frame, stage: int) -> MapValue:
    plugs, slot = frame.expansion.plugs, plug.syntax.slot.id
    if plug.shared == "stage" and not stage:
        raise problem(
            plug.site,
            "G417",
            f"the slot `{slot}` stands outside of stages, so nothing is shared per stage",
            plug.syntax.span,
            help="share it `per network`, or let the network place its blocks by `stages`",
        )
    uses = (*frame.uses, Use(plug.site.definition, plug.syntax.span))
    inner = replace(frame, uses=uses, main=None, edge=None)
    op = plug.op
    if plug.shared == "block":
        inner.scope = frame.scope.child(slot)
    else:
        op = SharedOp(plug.syntax.span, op, plug.homes[stage if plug.shared == "stage" else 0])
    plugs.inside = True
    try:
        result = inner.apply(op, value)
    finally:
        plugs.inside = False
    if result.type != value.type:
        raise problem(
            plug.site,
            "G418",
            f"what is plugged into `{slot}` turns {value.type} into {result.type}",
            plug.syntax.module.span,
            labels=[history(result)],
            help="a plug-in keeps the shape of its map",
        )
    return result


def check_plugs(plugs: Plugs, known: frozenset[str], stages: int) -> list[GenoError]:
    """What can be said once the whole network stands: unknown slots, schemes of the wrong length."""
    found = []
    for slot, plug in plugs.by_slot.items():
        if not plug.scheme:
            found.append(
                problem(
                    plug.site,
                    "G417",
                    f"the network has no slot `{slot}`",
                    plug.syntax.slot.span,
                    help=did_you_mean(slot, known)
                    or (
                        f"it has {', '.join(f'`{n}`' for n in sorted(known))}"
                        if known
                        else "a block marks one by `slot name`"
                    ),
                )
            )
        elif plug.kind == "bits":
            found += _check_bits(plug, stages)
    return found


def _check_bits(plug: Plug, stages: int) -> list[GenoError]:
    where, slot = plug.syntax.where, plug.syntax.slot.id
    assert where is not None
    if len(plug.bits) == 1:
        wanted = {"the network": (sum(map(len, plug.scheme.values())), plug.bits[0])}
    elif len(plug.bits) != stages:
        return [
            problem(
                plug.site,
                "G419",
                f"a scheme of {len(plug.bits)} strings for {stages} stages",
                where.span,
                help="give a string per stage, or one for all",
            )
        ]
    else:
        wanted = {f"stage {n}": (len(plug.scheme.get(n, "")), bits) for n, bits in enumerate(plug.bits, 1)}
    return [
        problem(
            plug.site,
            "G419",
            f"{home} has {count} slots `{slot}`, but the scheme has {len(bits)} bits",
            where.span,
            help="one bit per block, the first block first",
        )
        for home, (count, bits) in wanted.items()
        if count != len(bits)
    ]
