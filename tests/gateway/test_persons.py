"""Whoever has several devices, or one key in several networks."""

import json

from lab import output, wait_until


def new_key():
    secret = output("wg", "genkey")
    return output("wg", "pubkey", input=secret).strip()


def refused(gateway, *words):
    done = gateway.call("--json", *words)
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout.splitlines()[-1])["error"]


def keys_of_engine(gateway, letter):
    return gateway.run("wg", "show", gateway.engine(letter)[0], "peers").split()


def test_a_key_is_out_of_every_network_at_once_and_for_ever(gateway):
    key = new_key()
    gateway.create("a")
    gateway.create("b")
    gateway.ask("peer", "add", "laptop", "--key", key, "--network", gateway.network("a"))
    gateway.ask("peer", "add", "borrowed", "--key", key, "--network", gateway.network("b"))
    assert keys_of_engine(gateway, "a") == keys_of_engine(gateway, "b") == [key]
    done = gateway.call("revoke", "laptop", "--everywhere", "--network", gateway.network("a"))
    assert done.returncode == 0, done.stderr
    assert f"laptop is out of {gateway.network('a')}" in done.stdout
    assert f"borrowed is out of {gateway.network('b')}" in done.stdout
    assert f"the key {key} is refused in every network" in done.stdout
    assert keys_of_engine(gateway, "a") == keys_of_engine(gateway, "b") == []
    gateway.create("c")
    error = refused(gateway, "peer", "add", "again", "--key", key,
                    "--network", gateway.network("c"))
    assert error["kind"] == "not-permitted" and "revoked everywhere" in error["message"]
    assert f"that of laptop in network {gateway.network('a')}" in error["message"]
    document = gateway.folder / "c.yaml"
    document.write_text(f"warren: 1\nnetworks:\n  {gateway.network('c')}:\n"
                        f"    peers:\n      again: {{key: {key}}}\n")
    error = refused(gateway, "apply", "-f", document)
    assert "revoked everywhere" in error["message"]
    actions = [record["action"] for record in gateway.ask("audit")["records"]]
    assert "peer.revoke-everywhere" in actions
    assert gateway.call("audit", "verify").returncode == 0


def test_a_person_has_so_many_devices_and_goes_with_all_of_them(gateway):
    network = gateway.network("a")
    gateway.create("a", "--max-devices", "2")
    gateway.create("b")
    ann = ("--person", "ann@example.org")
    gateway.ask("peer", "add", "laptop", "--key", new_key(), *ann, "--network", network)
    gateway.ask("invite", "phone", *ann, "--network", network)
    gateway.ask("peer", "add", "tablet", "--key", new_key(), *ann,
                "--network", gateway.network("b"))
    gateway.ask("peer", "add", "printer", "--key", new_key(), "--network", network)
    error = refused(gateway, "invite", "watch", *ann, "--network", network)
    assert error["kind"] == "conflict" and "(laptop, phone)" in error["message"]
    hers = gateway.ask("peer", "list", network, *ann)["peers"]
    assert [peer["name"] for peer in hers] == ["laptop", "phone"]
    assert "PERSON" in gateway.call("peer", "list", network).stdout

    # A document has them, too, and applying it changes nothing.
    text = gateway.call("export", network).stdout
    assert "max-devices: 2" in text and 'person: "ann@example.org"' in text
    document = gateway.folder / "a.yaml"
    document.write_text(text)
    assert gateway.call("diff", "-f", document).returncode == 0

    done = gateway.ask("revoke", "--person", "ann@example.org", "--network", network)
    assert [r["name"] for r in done["revocations"]] == ["laptop", "phone"]
    assert all(not r["pending"] for r in done["revocations"])
    assert gateway.peer("b", "tablet")["state"] == "enrolled"
    done = gateway.ask("revoke", "--person", "ann@example.org", "--everywhere")
    assert [r["name"] for r in done["revocations"]] == ["tablet"]
    assert len(done["refused_keys"]) == 2
    assert gateway.peer("a", "printer")["state"] == "enrolled"
    gateway.ask("network", "set", network, "--max-devices", "0")
    assert gateway.show("a")["max_devices"] == 0
    for words in (("revoke",), ("revoke", "laptop", "--person", "ann"),
                  ("revoke", "--person", "nobody", "--network", network)):
        refused(gateway, *words)


def test_the_audit_forgets_what_is_older_than_the_settings_say(gateway):
    gateway.create("a")
    before = gateway.ask("audit")["records"]
    gateway.end()
    gateway.settings.write_text("audit: {keep: 1s}\n")
    gateway.start()

    def forgotten():
        """The settings count from the start on, and from each time they are read."""
        assert gateway.call("reload").returncode == 0
        records = gateway.ask("audit")["records"]
        return any(record["action"] == "audit.forget" for record in records)

    wait_until(forgotten, "records of a second ago are forgotten")
    records = gateway.ask("audit")["records"]
    assert before[-1]["number"] not in [record["number"] for record in records]
    verified = gateway.call("audit", "verify")
    assert verified.returncode == 0, verified.stderr
