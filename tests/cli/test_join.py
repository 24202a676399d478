"""`warren join` without a gateway: where the token comes from, and what is left behind."""


def test_the_token_is_read_from_all_three_places_and_never_repeated(warren):
    secret = "warren1" + "QUJD" * 20
    for kwargs in ({"args": ("join", secret)}, {"args": ("join", "-"), "stdin": secret + "\n"},
                   {"args": ("join",), "env": {"WARREN_TOKEN": secret}}):
        args = kwargs.pop("args")
        text = warren.fails(2, *args, **kwargs)
        assert "token" in text
        assert "QUJDQUJD" not in text


def test_an_empty_standard_input_is_no_token(warren):
    for nothing in ("", "\n"):
        assert "standard input is empty" in warren.fails(2, "join", "-", stdin=nothing)


def test_nothing_is_written_for_a_broken_token(warren):
    warren.fails(2, "join", "warren1nonsense")
    assert sorted(p.name for p in warren.home.iterdir()) == ["runtime"]
