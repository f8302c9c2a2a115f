"""Properties cross the engine's wire unchanged, and what is secret or unknown stays so."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from provider import wire

_json = st.recursive(
    st.none() | st.booleans() | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_names = st.text(min_size=1, max_size=8)


@given(values=st.dictionaries(_names, _json), data=st.data())
def test_what_is_written_is_read_again(values: dict[str, Any], data: st.DataObject) -> None:
    secret = data.draw(st.sets(st.sampled_from(sorted(values)))) if values else set()
    read = wire.read(wire.write(values, secret))
    assert read.values == values
    assert read.secret == secret
    assert not read.unknown


def test_an_unknown_deep_inside_makes_the_whole_property_unknown() -> None:
    read = wire.read(wire.write({"storage": {"endpoint": "https://a", "keys": [wire.UNKNOWN]}, "name": "n"}))
    assert read.unknown == {"storage"}
    assert read.values == {"name": "n"}


def test_a_secret_deep_inside_makes_the_whole_property_secret() -> None:
    hidden = wire.write({"key": "k"}, ["key"])
    outer = wire.write({})
    outer.fields["storage"].struct_value.CopyFrom(hidden)
    read = wire.read(outer)
    assert read.secret == {"storage"}
    assert read.values == {"storage": {"key": "k"}}


def test_an_unknown_secret_is_both() -> None:
    read = wire.read(wire.write({}, ["apiKey"], ["apiKey"]))
    assert read.secret == {"apiKey"}
    assert read.unknown == {"apiKey"}
