"""Where messages may go, judged by the address that is connected to."""

import socket
import time

import pytest

from core.errors import BadInput, Refused
from core.notify import addresses
from core.notify.addresses import Unreachable, connect, look_up, read_targets, why_not_public
from tests.receivers import web_server

NOBODY = frozenset()


def soon() -> float:
    return time.monotonic() + 3


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
     "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
     "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
     "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::1",
     "no address"],
)  # fmt: skip
def test_addresses_that_are_not_the_internet_are_refused(address):
    assert why_not_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_taken(address):
    assert why_not_public(address) == ""


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "017700000001", "0x7f000001", "0", "::1",
             "::ffff:127.0.0.1", "LOCALHOST"],
)  # fmt: skip
def test_loopback_is_refused_in_every_spelling_before_anything_is_sent(host):
    with web_server() as seen:
        with pytest.raises(Refused, match="messages go to the public internet"):
            connect(host, seen.port, allowed=NOBODY, deadline=soon())
        assert seen.posts == []


def answering(*found):
    return lambda host, port, **more: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def test_one_private_address_among_public_ones_refuses_the_name():
    with pytest.raises(Refused, match=r"evil.example:443 leads to 10.0.0.7, which is a private or reserved network"):
        look_up("evil.example", 443, allowed=NOBODY, deadline=soon(), resolve=answering("8.8.8.8", "10.0.0.7"))


def test_a_name_that_changes_its_answer_is_asked_once_and_what_was_checked_is_connected_to(monkeypatch):
    asked, connected = [], []

    def rebinding(host, port, **more):
        asked.append(host)
        return answering("93.184.216.34" if len(asked) == 1 else "127.0.0.1")(host, port)

    monkeypatch.setattr(socket.socket, "connect", lambda plug, where: connected.append(where))
    plug = connect("rebind.example", 443, allowed=NOBODY, deadline=soon(), resolve=rebinding)
    plug.close()
    assert asked == ["rebind.example"]
    assert connected == [("93.184.216.34", 443)]


def test_only_the_named_host_and_port_are_allowed():
    with web_server() as first, web_server() as second:
        allowed = read_targets(f" localhost:{first.port} ,")
        connect("LocalHost", first.port, allowed=allowed, deadline=soon()).close()
        for host, port in (("localhost", second.port), ("127.0.0.1", first.port)):
            with pytest.raises(Refused):
                connect(host, port, allowed=allowed, deadline=soon())


def test_targets_are_read_or_the_wrong_one_is_named():
    assert read_targets("") == frozenset()
    assert read_targets("Mail.corp:25,[::1]:9000") == {("mail.corp", 25), ("::1", 9000)}
    for wrong in ("localhost", "localhost:0", "localhost:70000", ":25", "host:٢٥"):
        with pytest.raises(BadInput, match="host:port"):
            read_targets(f"a:1,{wrong}")


def test_a_name_server_that_is_silent_costs_no_more_than_the_time_limit():
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="not looked up in time"):
        look_up("slow.example", 443, allowed=NOBODY, deadline=begun + 0.2, resolve=lambda *a, **k: time.sleep(2))
    assert time.monotonic() - begun < 1


def test_an_unknown_name_and_a_closed_port_are_told_apart():
    def unknown(*arguments, **more):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Unreachable, match=r"name gone\.example is not known"):
        look_up("gone.example", 443, allowed=NOBODY, deadline=soon(), resolve=unknown)
    with web_server() as seen:
        port = seen.port
    with pytest.raises(Unreachable, match="does not answer"):
        connect("127.0.0.1", port, allowed=frozenset({("127.0.0.1", port)}), deadline=soon())


def test_a_connection_is_cut_off_when_its_time_is_over():
    here, there = socket.socketpair()
    begun = time.monotonic()
    with addresses.cut_off(here, begun + 0.2):
        assert here.recv(1) == b""  # the other side says nothing and does not close
    assert 0.15 < time.monotonic() - begun < 2
    here.close()
    there.close()
