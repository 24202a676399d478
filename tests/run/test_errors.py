"""Every refusal names what was attempted, why, and what to do."""

import subprocess

import pytest
from filters import NO_IPV6, behind
from lab import output, wait_until


def footprint(lab):
    return lab.files(), lab.mounts(), lab.own_processes()


@pytest.fixture(autouse=True)
def nothing_is_left(lab):
    lab.run("true")  # makes the runtime directory
    before = footprint(lab)
    yield
    wait_until(lambda: footprint(lab) == before, lambda: f"{before} again, not {footprint(lab)}")


def refused(lab, text, *options, name="e"):
    lab.profile(name, text)
    done = lab.run("true", profile=name, options=options)
    assert done.returncode == 125, done
    assert "hint: " in done.stderr, done.stderr
    return done.stderr


def test_malformed_conf(lab):
    message = refused(lab, lab.conf("Adress = 10.0.0.1/24"))
    assert "/e.conf:5: unknown key `Adress` in [Interface]" in message
    assert "did you mean Address?" in message


def test_no_peer(lab):
    assert "has no [Peer]" in refused(lab, lab.conf().split("[Peer]")[0])


def test_no_address(lab):
    assert "has no Address" in refused(lab, lab.conf().replace("Address", "#Address"))


def test_unknown_host_name(lab):
    message = refused(lab, lab.conf(endpoint="no-such-host.invalid:51820"))
    assert "look up the endpoint no-such-host.invalid:51820" in message


def test_firewall_mark_needs_privilege(lab):
    message = refused(lab, lab.conf("FwMark = 51820"))
    assert "Operation not permitted" in message and "FwMark needs CAP_NET_ADMIN" in message


def test_listen_port_taken(lab):
    taken = lab.start(lab.in_host("/usr/bin/python3", "-uc", "import socket,time\n"
                                  "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                                  "s.bind(('0.0.0.0', 40001)); print('ready'); time.sleep(60)"),
                      stdout=subprocess.PIPE, text=True)
    taken.stdout.readline()
    message = refused(lab, lab.conf("ListenPort = 40001"))
    assert "ListenPort 40001 is taken" in message
    taken.kill()


def test_missing_profile(lab):
    done = lab.run("true", profile="nowhere")
    assert done.returncode == 125 and "warren/nowhere.conf: No such file" in done.stderr


def test_unreadable_conf(lab):
    path = lab.home / "secret.conf"
    path.write_text(lab.conf())
    path.chmod(0o600)  # root's
    done = lab.run("true", profile=str(path))
    assert done.returncode == 125 and "secret.conf: Permission denied" in done.stderr


def test_conf_that_others_can_read_is_warned_about(lab):
    lab.profile("open", lab.conf(), mode=0o644)
    done = lab.run("true", profile="open")
    assert done.returncode == 0 and "others can read it" in done.stderr


@pytest.mark.parametrize("path", ["/etc", "/dev/null"])
def test_what_is_no_file_is_refused_before_any_advice(lab, path):
    done = lab.run("true", profile=path)
    assert done.returncode == 125 and "not a regular file" in done.stderr
    assert "chmod" not in done.stderr


def test_a_public_file_that_is_no_conf_is_not_called_secret(lab):
    done = lab.run("true", profile="/etc/passwd")
    assert done.returncode == 125
    assert "private key" not in done.stderr and "chmod" not in done.stderr


def test_one_command_of_the_conf_is_spoken_of_as_one(lab):
    lab.profile("hook", lab.conf("PostUp = true\n"))
    done = lab.run("true", profile="hook")
    assert "hook.conf is not run here (wg-quick runs it)" in done.stderr


def test_commands_of_the_conf_are_never_run(lab):
    lines = "".join(f"{key} = touch {lab.home}/hooked-{key}\n"
                    for key in ("PreUp", "PostUp", "PreDown", "PostDown"))
    lab.profile("hooks", lab.conf(lines))
    done = lab.run("true", profile="hooks")
    assert done.returncode == 0
    assert "notice: PreUp, PostUp, PreDown, PostDown of" in done.stderr
    assert list(lab.home.glob("hooked*")) == []


def refused_after(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 125, done
    return done.stderr


def test_tun_that_users_may_not_open(lab):
    device = lab.directory / "dev/tun2"
    hidden = f"rm -f {device}; mknod -m 600 {device} c 10 200; mount --bind {device} /dev/net/tun"
    said = refused_after(lab.warren_after(hidden, "run", "lab", "--", "true"))
    assert "/dev/net/tun: Permission denied" in said and "chmod 0666" in said


def test_tun_missing(lab):
    said = refused_after(lab.warren_after("mount -t tmpfs tmpfs /dev/net", "run", "lab", "--", "true"))
    assert "/dev/net/tun: No such file" in said and "modprobe tun" in said


def test_user_namespaces_off(lab):
    said = refused_after(lab.warren_without_namespaces("run", "lab", "--", "true"))
    assert "create the namespaces of the run" in said and "user.max_user_namespaces" in said


@pytest.mark.parametrize("name", ["a/b", "-x", "a b", "x" * 33])
def test_bad_run_names(lab, name):
    done = lab.run("true", options=(f"--name={name}",))
    assert done.returncode == 125 and "cannot name a run" in done.stderr


def test_runtime_directory_of_somebody_else_is_refused(lab):
    (lab.runtime / "warren").mkdir(mode=0o777, exist_ok=True)
    (lab.runtime / "warren").chmod(0o777)
    done = lab.run("true")
    assert done.returncode == 125 and "only you can enter" in done.stderr
    for path in (lab.runtime / "warren").iterdir():
        path.unlink()
    (lab.runtime / "warren").rmdir()
    lab.run("true")  # makes it again


def test_the_server_does_not_know_the_key_or_has_another(lab):
    wrong = output("wg", "pubkey", input=output("wg", "genkey"))
    for name, text in (("theirs", lab.conf().replace(lab.far_public, wrong)),
                       ("ours", lab.conf().replace(lab.user_key, output("wg", "genkey")))):
        lab.profile(name, text)
        done = lab.run("true", profile=name, options=("--wait-ready", "1"))
        assert done.returncode == 125 and done.stdout == ""
        assert done.stderr.splitlines() == [
            "warren: the tunnel is not ready: no echo from 10.77.0.1",
            "  hint: check Endpoint, that UDP reaches it, and that both sides know each other's "
            "public key"], done.stderr


def test_a_kernel_without_ipv6(lab):
    def run(profile):
        words = (lab.directory / "warren", "run", "--wait-ready", "15", profile, "--", "echo", "up")
        return subprocess.run(lab.as_user(*behind(NO_IPV6, *words)), capture_output=True, text=True,
                              timeout=30)
    lab.profile("four", lab.conf())
    done = run("four")
    assert (done.returncode, done.stdout) == (0, "up\n"), done
    lab.profile("six", lab.conf(endpoint="[2001:db8::2]:51820"))
    done = run("six")
    assert done.returncode == 125 and done.stdout == ""
    assert done.stderr.splitlines() == [
        "warren: the endpoint [2001:db8::2]:51820 needs IPv6, but this kernel has IPv6 off",
        "  hint: name the server by an address of the other family, or boot without ipv6.disable=1"]
