from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, asdict, field, fields, replace

import pytest

from genolang.records import record


@record(frozen=True)
class Place:
    line: int = field(compare=False)


@record(frozen=True)
class Word(Place):
    """A word."""

    text: str
    parts: tuple[str, ...] = ()
    size: int = field(init=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.text))


@record
class Bag:
    name: str
    things: list[int] = field(default_factory=list)


def test_fields_may_be_given_by_place_and_by_name() -> None:
    assert Word(1, "a", ("b",)) == Word(line=1, text="a", parts=("b",)) == Word(1, parts=("b",), text="a")
    assert Word(1, "abc").parts == ()
    assert Word(1, "abc").size == 3


def test_a_field_that_nobody_gives_has_its_default() -> None:
    @record(frozen=True)
    class Slot:
        name: str
        line: int = field(compare=False)
        size: int = field(init=False, default=7)

    assert Slot("a", 1).size == Slot(name="a", line=2).size == 7
    with pytest.raises(TypeError):
        Slot("a", 1, 2)  # type: ignore[call-arg]


@pytest.mark.parametrize("count", range(1, 7))
def test_records_of_any_number_of_fields_take_their_values(count: int) -> None:
    made = record(type("Made", (), {"__annotations__": {f"f{n}": int for n in range(count)}}))
    names = {f"f{n}": n for n in range(count)}
    assert asdict(made(*range(count))) == asdict(made(**names)) == names
    with pytest.raises(TypeError):
        made(*range(count + 1))
    with pytest.raises(TypeError):
        made(*range(count - 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Word(1),
        lambda: Word(1, "a", (), 4),
        lambda: Word(1, "a", texts="b"),
        lambda: Word(1, "a", line=2),
        lambda: Word(1, "a", size=3),
    ],
)
def test_wrong_arguments_are_refused(make) -> None:
    with pytest.raises(TypeError):
        make()


def test_what_is_out_of_the_comparison_counts_nowhere() -> None:
    assert Word(1, "a") == Word(2, "a") != Word(1, "b")
    assert hash(Word(1, "a")) == hash(Word(2, "a"))
    assert repr(Word(1, "a")) == "Word(text='a', parts=())"


def test_records_of_two_classes_differ() -> None:
    @record(frozen=True)
    class Other:
        text: str
        parts: tuple[str, ...] = ()

    assert Other("a") != Word(1, "a")
    assert Place(1) == Place(2) != Word(1, "a")


def test_a_frozen_record_refuses_changes_and_is_a_key() -> None:
    word = Word(1, "a")
    with pytest.raises(FrozenInstanceError):
        word.text = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del word.text
    assert {word: 1}[Word(9, "a")] == 1


def test_other_records_change_and_are_no_keys() -> None:
    bag = Bag("a")
    bag.name = "b"
    assert bag == Bag("b")
    with pytest.raises(TypeError):
        hash(bag)
    assert Bag("a").things is not Bag("a").things


def test_records_have_no_dict_and_no_other_attributes() -> None:
    assert not hasattr(Word(1, "a"), "__dict__")
    with pytest.raises(AttributeError):
        Bag("a").other = 1  # type: ignore[attr-defined]


def test_the_tools_of_dataclasses_work_on_records() -> None:
    assert [f.name for f in fields(Word)] == ["line", "text", "parts", "size"]
    assert replace(Word(1, "a"), text="bc").size == 2
    assert asdict(Bag("a", [1])) == {"name": "a", "things": [1]}
    match Word(1, "a"):
        case Word(line, text):
            assert (line, text) == (1, "a")


def test_records_can_be_copied() -> None:
    word, bag = Word(1, "a"), Bag("a", [1])
    assert copy.deepcopy(word) == copy.copy(word) == word
    assert copy.deepcopy(word).line == 1
    assert copy.deepcopy(bag).things is not bag.things


def test_records_that_are_not_compared_are_alike_only_to_themselves() -> None:
    @record(frozen=True, eq=False)
    class Alone:
        text: str

    one = Alone("a")
    assert one == one != Alone("a")
    assert len({one, Alone("a")}) == 2
