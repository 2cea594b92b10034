"""What came of an act: shown once, and nothing below it moves when it goes."""

from streamlit.testing.v1 import AppTest


def _page():
    import streamlit as st

    from pages import sending

    if st.query_params.get("noted"):
        sending.note_sent("form", "Done.")
    sending.show_sent("form")
    st.markdown("below")


def place_of_what_is_below(test):
    return next(place for place, child in test.main.children.items() if getattr(child, "value", "") == "below")


def test_a_note_is_shown_once_and_what_is_below_keeps_its_place():
    test = AppTest.from_function(_page)
    test.query_params["noted"] = "1"
    test.run()
    assert [s.value for s in test.success] == ["Done."]
    with_note = place_of_what_is_below(test)
    test.query_params.clear()
    test.run()
    assert not test.success
    assert place_of_what_is_below(test) == with_note
