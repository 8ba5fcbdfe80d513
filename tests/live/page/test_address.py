"""Where the page listens, and what it answers where it cannot."""

from __future__ import annotations

import socket

import pytest

from edge_ovss.errors import InputError, UsageError
from edge_ovss.live.page.address import PageAddress, is_loopback, listen
from edge_ovss.live.page.server import TOKEN_VARIABLE, choose_token, page_urls


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("localhost:65535", "localhost", 65535),
        ("[::1]:8080", "::1", 8080),
        ("orin-7.lab:9000", "orin-7.lab", 9000),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    address = PageAddress.parse(text)
    assert (address.host, address.port) == (host, port)
    if text != "8080" and text != "0":
        assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "x", "65536", "-1", "80 80", ":80", "*:80", "::1:80", "a b:80", "http://h:80", "h:", "٣"],
)
def test_another_form_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(UsageError, match=r"Expected \[HOST:\]PORT"):
        PageAddress.parse(text)


def test_a_star_is_answered_with_the_address_of_all_networks() -> None:
    with pytest.raises(UsageError, match=r"0\.0\.0\.0:81"):
        PageAddress.parse("*:81")


def test_a_port_in_use_is_status_4_and_names_the_port() -> None:
    with listen(PageAddress()) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            listen(PageAddress(port=port))
    assert caught.value.status == 4
    listen(PageAddress(port=port)).close()


@pytest.mark.parametrize("host", ["192.0.2.7", "no-such-host.invalid"])
def test_a_host_that_is_not_of_this_machine_is_status_4(host: str) -> None:
    with pytest.raises(InputError, match=host):
        listen(PageAddress(host, 0))


def test_only_this_machine_needs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    address = PageAddress(port=8080)
    assert choose_token(address, "127.0.0.1") is None
    assert choose_token(address, "::1") is None
    tokens = {choose_token(address, "0.0.0.0") for _ in range(4)}
    assert len(tokens) == 4
    assert all(len(token or "") >= 32 for token in tokens)
    assert not is_loopback("10.0.0.1")


def test_a_token_may_be_given_and_must_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "a" * 16)
    assert choose_token(PageAddress(), "127.0.0.1") == "a" * 16
    for bad in ("a" * 15, "a b" * 9, "a" * 129, "é" * 20):
        monkeypatch.setenv(TOKEN_VARIABLE, bad)
        with pytest.raises(UsageError, match="16 to 128") as caught:
            choose_token(PageAddress(), "127.0.0.1")
        assert bad not in str(caught.value)


def test_what_is_printed_can_be_opened() -> None:
    assert page_urls(PageAddress("::1", 80), "::1", None) == ["http://[::1]:80/"]
    urls = page_urls(PageAddress("0.0.0.0", 81), "0.0.0.0", "secret")
    assert f"http://{socket.gethostname()}:81/#token=secret" in urls
    assert all("0.0.0.0" not in url for url in urls)
