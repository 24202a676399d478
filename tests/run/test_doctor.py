"""`warren doctor run` names the cause and the remedy."""

import json
import subprocess

from filters import NO_NAMESPACES, behind


def doctor(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["works"] else 1), done
    return document["works"], {one["what"]: one for one in document["findings"]}


def test_all_is_well(lab):
    works, findings = doctor(lab.warren("doctor", "run", "--json"))
    assert works and findings["trial run"]["state"] == "good"
    text = subprocess.run(lab.warren("doctor", "run"), capture_output=True, text=True)
    assert text.returncode == 0 and "warren run works here" in text.stdout


def test_it_leaves_nothing(lab):
    before = (lab.files(), lab.mounts(), lab.own_processes())
    doctor(lab.warren("doctor", "run", "--json"))
    assert (lab.files(), lab.mounts(), lab.own_processes()) == before


def test_tun_missing(lab):
    works, findings = doctor(lab.warren_after("mount -t tmpfs tmpfs /dev/net", "doctor", "run",
                                              "--json"))
    assert not works and "does not exist" in findings["/dev/net/tun"]["text"]
    assert "modprobe tun" in findings["/dev/net/tun"]["remedy"]
    assert findings["trial run"]["state"] == "bad"


def test_tun_closed_to_users(lab):
    setup = ("mount -t tmpfs tmpfs /dev/net; mknod -m 600 /dev/net/tun c 10 200")
    works, findings = doctor(lab.warren_after(setup, "doctor", "run", "--json"))
    assert not works and "its mode 0600 does not let this user" in findings["/dev/net/tun"]["text"]
    assert "chmod 0666 /dev/net/tun" in findings["/dev/net/tun"]["remedy"]


def test_user_namespaces_off(lab):
    works, findings = doctor(lab.warren_without_namespaces("doctor", "run", "--json"))
    assert not works
    assert findings["user namespaces"]["text"] == "sysctl user.max_user_namespaces is 0"
    assert "sysctl -w user.max_user_namespaces=" in findings["user namespaces"]["remedy"]


def test_seccomp_is_told_apart(lab):
    def contained(*arguments):
        return lab.as_user(*behind(NO_NAMESPACES, lab.directory / "warren", *arguments))
    works, findings = doctor(contained("doctor", "run", "--json"))
    assert not works and findings["seccomp"]["state"] == "bad"
    assert "seccomp" in findings["seccomp"]["remedy"]
    assert "seccomp filter" in findings["trial run"]["remedy"]
    done = subprocess.run(contained("run", "lab", "--", "true"), capture_output=True, text=True)
    assert done.returncode == 125 and "seccomp filter of a surrounding container" in done.stderr
    assert done.stderr.count("\n") == 2


def test_engine_missing(lab):
    command = lab.warren("doctor", "run", "--json")
    at = command.index(f"HOME={lab.home}")
    command[at:at] = ["WARREN_ENGINE="]
    (lab.directory / "warren-engine").rename(lab.directory / "away")
    try:
        works, findings = doctor(command)
    finally:
        (lab.directory / "away").rename(lab.directory / "warren-engine")
    assert not works and "warren-engine must be beside warren" in findings["engine"]["remedy"]
