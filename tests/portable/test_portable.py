"""The packed folder, unpacked where its builder's system is not."""

import os
import pathlib
import shutil
import subprocess

import pytest
from lab import BIN, USER, Lab, output, require

HERE = pathlib.Path(__file__).parent
PACK = HERE.parent.parent / "tools" / "pack_portable.sh"
ENTER = HERE / "enter_root.py"
PARTS = {"warren", "warren-engine", "README.md", "LICENSE", "man"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The archive, unpacked."""
    require("tar", "strip", "readelf")
    if not (BIN / "warren").exists() or not (BIN / "portable_job").exists():
        pytest.skip("warren or portable_job is not built")
    place = tmp_path_factory.mktemp("packed")
    done = subprocess.run([PACK, BIN, place], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    archive = pathlib.Path(done.stdout.strip())
    output("tar", "-C", place, "-xf", archive)
    return place / archive.name.removesuffix(".tar.gz")


class Root:
    """A root file system beside the host's, in the network and with the tun of a Lab."""

    def __init__(self, lab, packed, name, folder):
        self.lab, self.folder = lab, folder
        self.path = lab.directory / name
        for part in ("proc", "dev/net", "home", "runtime"):
            (self.path / part).mkdir(parents=True)
        (self.path / "dev/net/tun").touch()
        place = self.path / folder
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(packed, place)
        shutil.copy(BIN / "portable_job", self.path / "job")
        for part in ("home", "runtime"):
            os.chown(self.path / part, USER, USER)
            (self.path / part).chmod(0o700)

    def profile(self, text):
        path = self.path / "home" / "lab.conf"
        path.write_text(text)
        path.chmod(0o600)
        os.chown(path, USER, USER)

    def start(self, *arguments, prepare=""):
        script = f"set -e; {prepare} exec /usr/bin/python3 -B \"$@\""
        command = ["nsenter", "-t", self.lab.holder.pid, "-m", "-n", "unshare", "-m", "sh", "-c",
                   script, "sh", ENTER, self.path, USER, f"/{self.folder}/warren", *arguments]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)

    def run_job(self, **more):
        return self.start("run", "/home/lab.conf", "--", "/job", "10.77.0.1", "8080",
                          "any.example", **more)


@pytest.fixture(scope="module")
def lab():
    made = Lab()
    yield made
    made.close()


def check_job(done):
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    names = lines["interfaces"].split()
    assert len(names) == 2 and "lo" in names, "the loopback and the tunnel, nothing else"
    assert lines["page"] == "HTTP/1.0 200 OK"
    return lines


def test_the_folder_holds_static_programs_and_nothing_else(packed):
    assert {entry.name for entry in packed.iterdir()} == PARTS
    for program in ("warren", "warren-engine"):
        assert "INTERP" not in output("readelf", "-lW", packed / program)
        assert "NEEDED" not in output("readelf", "-dW", packed / program)


def test_it_says_what_it_leaves_out(packed):
    said = output(packed / "warren", "--version")
    assert "portable (without: daemon, " in said
    for command in (["daemon"], ["config", "check"], ["peer", "export", "x"], ["cleanup"]):
        refused = subprocess.run([packed / "warren", *command], capture_output=True, text=True)
        assert refused.returncode == 5
        assert "leaves out `warren " + command[0] in refused.stderr
        assert "hint: install warren on the gateway" in refused.stderr


def test_in_an_empty_root(lab, packed):
    root = Root(lab, packed, "empty", "p")
    root.profile(lab.conf())
    doctor = root.start("doctor", "run")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    check_job(root.run_job())  # without an /etc a program has no settings for names


def test_read_only_in_a_foreign_root_with_spaces_in_its_path(lab, packed):
    """Settings of another system: name services that are not there, an OpenSSL configuration that
    cannot be read, a libc that is none."""
    root = Root(lab, packed, "foreign", "mnt/read only/warren 1")
    (root.path / "run").mkdir()
    etc = root.path / "etc"
    (etc / "ssl").mkdir(parents=True)
    (etc / "nsswitch.conf").write_text("passwd: sss ldap files\ngroup: sss files\n"
                                       "hosts: mymachines mdns4 [NOTFOUND=return] resolve files\n")
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "hosts").write_text("192.0.2.2 far.example\n")
    (etc / "resolv.conf").write_text("nameserver 192.0.2.77\n")
    (etc / "ssl" / "openssl.cnf").write_text("openssl_conf = nowhere\n[[[\n")
    library = root.path / "lib" / "x86_64-linux-gnu"
    library.mkdir(parents=True)
    for name in ("libc.so.6", "libnss_sss.so.2", "libnss_mymachines.so.2", "libnss_resolve.so.2"):
        (library / name).write_text("no library\n")
    root.profile(lab.conf(endpoint="far.example:51820"))
    place = root.path / root.folder
    done = root.run_job(prepare=f"mount --bind '{place}' '{place}'; "
                                f"mount -o remount,bind,ro '{place}'; ! touch '{place}/x' 2>&1;")
    assert check_job(done)["name"] == "10.77.0.99"
