"""Without a daemon: every command says so, with exit code 3; other refusals have their codes."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import conftest
import pytest

ASKS_THE_DAEMON = [
    ("network", "list"), ("network", "ls"), ("network", "show", "lab"), ("network", "rm", "lab"),
    ("network", "delete", "lab"), ("network", "create", "lab", "--subnet", "10.20.0.0/24"),
    ("invite", "laptop"), ("invite", "laptop", "--network", "lab"), ("peer", "list"),
    ("peer", "ls", "lab"), ("peer", "show", "laptop"), ("revoke", "laptop", "--yes"),
    ("peer", "add", "phone"), ("peer", "set-key", "phone", "KEY"), ("peer", "export", "phone"),
    ("peer", "export", "--all", "bundles"), ("peer", "rename", "phone", "tablet"),
    ("peer", "delete", "phone", "--yes"), ("peer", "rm", "phone", "--yes"), ("audit",),
    ("reload",), ("status", "--check", "live"), ("status", "--check", "ready"),
    ("status", "--check", "ready", "--daemon"),
]


@pytest.mark.parametrize("args", ASKS_THE_DAEMON, ids=" ".join)
def test_no_daemon(warren, args):
    text = warren.fails(3, *args)
    assert "the daemon is not running" in text
    assert "hint: start it: warren daemon" in text
    assert warren.error(3, *args)["kind"] == "unavailable"


def test_status_of_a_machine_with_nothing_tells_both_ways_on(warren):
    text = warren.fails(3, "status")
    assert "the daemon is not running, and you have no profiles and no runs" in text
    assert "warren join TOKEN" in text and "warren daemon" in text
    assert warren.error(3, "status")["kind"] == "unavailable"


def test_status_of_a_member_is_no_failure(warren):
    profiles = warren.home / ".config" / "warren"
    profiles.mkdir(parents=True)
    (profiles / "lab.conf").write_text("[Interface]\n")
    done = warren("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a member needs none" in done.stdout and "profiles  lab" in done.stdout
    document = json.loads(warren("status", "--json").stdout)
    assert document["profiles"] == ["lab"] and document["daemon"] is None
    warren.fails(3, "status", "--check", "live")


def test_status_of_a_remote_gateway_is_not_that_of_this_host(warren):
    """What this host has is no answer to a question about another one."""
    profiles = warren.home / ".config" / "warren"
    profiles.mkdir(parents=True)
    (profiles / "lab.conf").write_text("[Interface]\n")
    for args in (("status",), ("status", "--check", "live")):
        assert "nowhere" in warren.fails(5, "--remote", "nowhere", *args)


def test_json_may_follow_the_command(warren):
    done = warren("network", "list", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["kind"] == "unavailable"


def test_a_socket_file_without_a_daemon(warren):
    (warren.home / "run").mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(warren.home / "run" / "warren.sock"))
    left.close()
    assert "not running" in warren.fails(3, "network", "list")


def test_a_socket_that_may_not_be_opened(warren):
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    import subprocess
    import conftest
    run = warren.home / "run"
    run.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "warren.sock"))
    listener.listen()
    os.chmod(run / "warren.sock", 0o600)
    folder = warren.home
    while str(folder).startswith("/tmp/") and str(folder) != "/tmp":
        os.chmod(folder, 0o755)
        folder = folder.parent
    program = warren.home / "warren"
    program.write_bytes(open(conftest.WARREN, "rb").read())
    os.chmod(program, 0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(program), "network",
         "list"], capture_output=True, text=True, env=warren.env, timeout=30)
    listener.close()
    assert done.returncode == 4, done
    assert "permission denied" in done.stderr
    assert "group 'warren'" in done.stderr


def test_the_wait_ends(warren):
    warren.fails(3, "status", "--check", "live", "--daemon", "--wait", "1s")


def test_no_escape_sequences_outside_a_terminal(warren):
    done = warren("network", "list")
    assert "\033" not in done.stdout + done.stderr


def test_leave_of_an_unknown_profile(warren):
    assert "no profile 'lab'" in warren.fails(5, "leave", "lab")
    assert "cannot be the name of a profile" in warren.fails(2, "leave", "../lab")


def test_leave_keeps_a_conf_of_somebody_else(warren):
    profiles = warren.home / ".config" / "warren"
    profiles.mkdir(parents=True)
    (profiles / "office.conf").write_text("[Interface]\n")
    assert "not made by warren join" in warren.fails(5, "leave", "office")
    assert (profiles / "office.conf").exists()


def test_leave_without_the_gateway_removes_only_what_join_made_and_only_by_force(warren):
    profiles = warren.home / ".config" / "warren"
    profiles.mkdir(parents=True)
    (profiles / "lab.conf").write_text("[Interface]\n")
    (profiles / "lab.warren.json").write_text("{}")
    (profiles / "other.conf").write_text("[Interface]\n")
    refused = warren.fails(2, "leave", "lab")
    assert "nothing was removed" in refused and "--force" in refused
    assert len(list(profiles.iterdir())) == 3
    done = warren("leave", "lab", "--force")
    assert done.returncode == 0
    assert "the gateway was not told" in done.stdout
    assert f"removed: {profiles}/lab.conf" in done.stdout
    assert [path.name for path in profiles.iterdir()] == ["other.conf"]


def test_a_token_that_is_none_ends_a_run_with_one_line(warren):
    text = warren.fails(125, "run", "warren1nonsense", "--", "true")
    assert "token" in text and "warren1nonsense" not in text


def test_a_cut_administrators_token_names_what_printed_it(warren):
    cut = warren.home / "token"
    cut.write_text("warrenadmin1AAAA\n")
    cut.chmod(0o600)
    text = warren.fails(2, "remote", "add", "gw", "--token-file", str(cut))
    assert "cut off" in text and "warren token create" in text and "invite" not in text


def test_a_backup_without_a_state_says_what_to_name(warren):
    text = warren.fails(5, "backup", str(warren.home / "b"))
    assert "  hint: " in text and "--state-dir" in text
    assert not (warren.home / "b").exists()


@pytest.fixture
def open_folder():
    """A folder that every user may enter. (Those of pytest are root's, and each pytest that starts closes
    them again.)"""
    made = pathlib.Path(tempfile.mkdtemp(prefix="warren-cli-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_without_rights_backup_and_cleanup_say_who_may(open_folder):
    if os.geteuid() != 0:
        pytest.skip("needs root to have what another user may not read")
    warren = conftest.Cli(open_folder)
    (open_folder / "state").mkdir(mode=0o700)
    for name in ("warren", "warren-gateway"):
        shutil.copy(pathlib.Path(conftest.WARREN).parent / name, open_folder / name)
    for words in (("backup", "/nowhere/b"), ("cleanup",)):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             str(open_folder / "warren"), *words],
            capture_output=True, text=True, env=warren.env, timeout=30)
        assert done.returncode == 4, (words, done)
        assert "hint: run it as root" in done.stderr, (words, done.stderr)


def test_a_policy_that_is_no_text_is_refused_by_name(warren):
    binary = warren.home / "policy"
    binary.write_bytes(b"rules:\n\0\n")
    text = warren.fails(2, "policy", "set", "lab", str(binary))
    assert f"{binary} is no text" in text and "lines[" not in text


def test_a_bundle_is_never_written_over_a_file(warren):
    taken = warren.home / "phone.conf"
    taken.write_text("mine")
    text = warren.fails(6, "peer", "export", "phone", "--output", str(taken))
    assert "exists already" in text and "hint: choose another file" in text
    assert taken.read_text() == "mine"


def test_an_empty_standard_input_is_no_key(warren):
    for nothing in ("", "\n"):
        for args in (("peer", "set-key", "phone", "-"), ("peer", "add", "phone", "--key", "-")):
            assert "standard input is empty" in warren.fails(2, *args, stdin=nothing)
