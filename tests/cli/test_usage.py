"""Wrong usage gives exit code 2 and names the nearest command; help has an example everywhere."""
import re

import pytest

COMMANDS = [
    ("daemon",), ("network",), ("network", "create"), ("network", "list"), ("network", "show"),
    ("network", "delete"), ("invite",), ("join",), ("leave",), ("peer",), ("peer", "list"),
    ("peer", "show"), ("peer", "add"), ("peer", "set-key"), ("peer", "rename"),
    ("peer", "delete"),    ("peer", "export"), ("revoke",), ("run",), ("status",), ("audit",), ("audit", "verify"), ("apply",), ("diff",), ("export",), ("reload",), ("cleanup",),
    ("config",), ("config", "check"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(warren, command):
    done = warren(*command, "--help")
    assert done.returncode == 0
    assert f"Usage: warren {' '.join(command)}" in done.stdout
    assert "Example" in done.stdout
    assert "warren " + command[0] in done.stdout


def test_help_lists_every_command(warren):
    help_text = warren("--help").stdout
    for command in {c[0] for c in COMMANDS}:
        assert re.search(rf"^  {command}\b", help_text, re.M), command


def test_version(warren):
    done = warren("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"warren \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("args", [
    (), ("network",), ("peer",), ("nonsense",), ("network", "create"), ("network", "show"),
    ("network", "create", "lab", "--port", "0"), ("network", "create", "lab", "--port", "70000"),
    ("network", "create", "lab", "--nonsense"), ("network", "create", "lab", "more"),
    ("peer", "show"), ("peer", "add"), ("peer", "add", "a", "b", "c"),
    ("peer", "add", "phone", "--expires", "soon"), ("peer", "set-key", "phone"),
    ("peer", "rename", "phone"), ("peer", "export"), ("peer", "export", "phone", "--all", "x"),
    ("peer", "export", "--all", "x", "-o", "y"), ("peer", "export", "phone", "--format", "ovpn"),
    ("peer", "export", "phone", "--with-program"),
    ("network", "set", "lab"), ("network", "set", "lab", "--nat", "--no-nat"),
    ("peer", "delete"), ("revoke",), ("invite",), ("leave",), ("status", "--check", "well"),
    ("audit", "--limit", "0"), ("audit", "--limit", "x"), ("invite", "a", "--expires", "5y"),
    ("invite", "a", "--uses", "many"), ("invite", "a", "--uses", "-1"),
    ("invite", "a", "--expires", "0s"), ("invite", "a", "--expires", "h"),
    ("status", "--wait", "soon"), ("join", "nonsense"), ("join",), ("--no-such-option",),
], ids=" ".join)
def test_wrong_usage_is_exit_code_2(warren, args):
    text = warren.fails(2, *args)
    assert text.startswith("warren: ")
    assert "  hint: " in text


@pytest.mark.parametrize("args,meant", [
    (("netwrok", "list"), "warren network"), (("network", "creat", "lab"), "warren network create"),
    (("enter", "lab"), "warren attach"), (("ls",), "warren network list"),
    (("version",), "warren --version"), (("help", "netwrok"), "warren network"),
    (("help", "network", "creat"), "warren network create"),
    (("per",), "warren peer"), (("stauts",), "warren status"), (("revok", "x"), "warren revoke"),
])
def test_a_mistyped_command_names_the_nearest(warren, args, meant):
    assert f"did you mean: {meant}?" in warren.fails(2, *args)


def test_an_unknown_command_is_named(warren):
    for args in (("frobnicate",), ("--json-less", "frobnicate"), ("help", "frobnicate")):
        text = warren.fails(2, *args)
        assert "there is no command 'frobnicate'" in text and "see: warren --help" in text
    assert "warren peer: there is no command 'frob'" in warren.fails(2, "peer", "frob", "x")
    assert "frobnicate" in warren.error(2, "frobnicate")["message"]
    assert "there is no option '--bogus'" in warren.fails(2, "--bogus")


@pytest.mark.parametrize("command", [(), ("run",), ("network", "create")], ids=" ".join)
def test_help_is_a_command_too(warren, command):
    done = warren("help", *command)
    assert (done.returncode, done.stdout) == (0, warren(*command, "--help").stdout)


def test_usage_errors_name_the_command_at_fault(warren):
    text = warren.fails(2, "network", "create", "lab", "--port", "70000")
    assert "warren network create: --port" in text
    assert "see: warren network create --help" in text


def test_usage_errors_are_documents_with_json(warren):
    assert warren.error(2, "network", "create")["kind"] == "invalid"


@pytest.mark.parametrize("words", [
    ("help", "network"), ("-v", "help", "network"), ("--state-dir", "x", "help", "network"),
    ("help", "-v", "network"),
], ids=" ".join)
def test_help_may_stand_behind_options(warren, words):
    done = warren(*words)
    assert done.returncode == 0, done
    assert "Usage: warren network" in done.stdout


@pytest.mark.parametrize("words", [
    ("network", "exec", "lab", "true"), ("network", "exec", "lab", "ip", "-4", "route"),
], ids=" ".join)
def test_a_command_without_dashes_is_told_where_they_go(warren, words):
    assert f"put -- before the command that is to run: -- {words[3]}" in warren.fails(2, *words)
