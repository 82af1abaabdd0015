"""What is fetched is whole, the one that was asked for, and no larger than allowed; what breaks off goes on.

Silently wrong would be a file that is cut off, or glued from two versions, and has its name all the same; a token that
goes to another host or stands in an error; and a service that is asked again and again after it said no.
"""

import hashlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_service import WebService, web_service

from torchmultiverse.errors import AssetError
from torchmultiverse.web import ServiceError, WebClient, WebFile

DATA = bytes(range(256)) * 4000
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def service() -> Iterator[WebService]:
    with web_service() as running:
        yield running


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def client(waited: list[float]) -> WebClient:
    return WebClient("Things", sleep=waited.append)


def test_a_file_is_there_whole_and_is_not_fetched_twice(service: WebService, client: WebClient, tmp_path: Path) -> None:
    url = service.put("/box.glb", DATA)
    arrived: list[int] = []
    place = tmp_path / "deep" / "box.glb"
    assert client.file(WebFile(url, len(DATA), MD5), place, "box", arrived.append) == place
    assert place.read_bytes() == DATA
    assert sum(arrived) == len(DATA)
    client.file(WebFile(url, len(DATA), MD5), place, "box")
    assert len(service.asked) == 1
    assert [path.name for path in place.parent.iterdir()] == ["box.glb"], "something half-written stays"


def test_what_broke_off_goes_on_where_it_was(service: WebService, client: WebClient, tmp_path: Path) -> None:
    url = service.put("/box.glb", DATA)
    service.faults["/box.glb"] = [("cut", 300_000), ("cut", 200_000)]
    client.file(WebFile(url, len(DATA), MD5), tmp_path / "box.glb", "box")
    assert (tmp_path / "box.glb").read_bytes() == DATA
    assert [one.headers.get("Range") for one in service.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_another_process_goes_on_too(service: WebService, tmp_path: Path) -> None:
    url = service.put("/box.glb", DATA)
    service.faults["/box.glb"] = [("cut", 100_000)] * 5
    with pytest.raises(ServiceError, match=r"box: .*broke off.* tried 5 times; .*run the same command again"):
        WebClient("Things", sleep=lambda s: None).file(WebFile(url, len(DATA)), tmp_path / "box.glb", "box")
    assert not (tmp_path / "box.glb").exists(), "a part has the name of the whole"
    WebClient("Things").file(WebFile(url, len(DATA)), tmp_path / "box.glb", "box")
    assert (tmp_path / "box.glb").read_bytes() == DATA
    assert service.asked[-1].headers["Range"] == "bytes=500000-"


def test_a_file_that_changed_meanwhile_is_not_glued_together(service: WebService, tmp_path: Path) -> None:
    url = service.put("/box.glb", DATA)
    service.faults["/box.glb"] = [("cut", 100_000)] * 5
    with pytest.raises(ServiceError):
        WebClient("Things", sleep=lambda s: None).file(WebFile(url), tmp_path / "box.glb", "box")
    service.put("/box.glb", DATA[::-1])
    WebClient("Things").file(WebFile(url), tmp_path / "box.glb", "box")
    assert (tmp_path / "box.glb").read_bytes() == DATA[::-1]
    service.put("/box.glb", DATA, ETag="")
    service.faults["/box.glb"] = [("cut", 100_000)]
    WebClient("Things", sleep=lambda s: None).file(WebFile(url), tmp_path / "other.glb", "box")
    assert (tmp_path / "other.glb").read_bytes() == DATA
    assert "Range" not in service.asked[-1].headers, "nothing says that the rest belongs to the part"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"size": len(DATA) - 1}, r"box: it has 1,024,000 bytes, the service says 1,023,999; nothing of it is kept"),
        ({"md5": "0" * 32}, rf"box: its MD5 is {MD5}, the service says 0{{32}}"),
        ({"limit": 1000, "size": len(DATA)}, r"box: it has 1 MiB; at most 0 MiB are read"),
        ({"limit": 1 << 19}, r"box: it has 1 MiB; at most 0 MiB"),
    ],
)
def test_another_file_than_was_promised_is_refused(
    wanted: dict, said: str, service: WebService, client: WebClient, tmp_path: Path
) -> None:
    url = service.put("/box.glb", DATA)
    with pytest.raises(AssetError, match=said) as error:
        client.file(WebFile(url, **wanted), tmp_path / "box.glb", "box")
    assert not isinstance(error.value, ServiceError), "one wrong file does not end all others"
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_length_is_bounded(client: WebClient, tmp_path: Path, service: WebService) -> None:
    url = service.put("/endless", DATA, Content_Length="")
    with pytest.raises(AssetError, match=r"endless: it is larger than its service says; at most 0 MiB"):
        client.file(WebFile(url, limit=5), tmp_path / "endless", "endless")
    assert list(tmp_path.iterdir()) == []
    service.faults["/endless"] = [("cut", 1000)]
    client.file(WebFile(url, size=len(DATA)), tmp_path / "endless", "endless")
    assert (tmp_path / "endless").read_bytes() == DATA


def test_a_busy_service_is_waited_for(service: WebService, client: WebClient, waited: list[float]) -> None:
    url = service.put("/list", {"a": 1})
    service.faults["/list"] = [503, (429, {"Retry_After": "7"}), 500]
    assert client.record(url, "the list") == {"a": 1}
    assert waited == [1.0, 7.0, 4.0]


def test_a_service_that_asks_for_more_than_minutes_is_left(
    service: WebService, client: WebClient, waited: list[float]
) -> None:
    url = service.put("/list", {})
    service.faults["/list"] = [(429, {"Retry_After": "3600"})] * 9
    with pytest.raises(ServiceError, match=r"the list: .*429: it was asked too often; Things asks to wait 60 minutes"):
        client.record(url, "the list")
    service.faults["/list"] = [429] * 9
    with pytest.raises(ServiceError, match="429: it was asked too often; it was tried 5 times"):
        client.record(url, "the list")
    assert waited == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, ServiceError, "answers 401: its token is refused. Get one at the desk"),
        (403, AssetError, "answers 403: it may not be downloaded"),
        (404, AssetError, "answers 404: it is not there"),
        (410, AssetError, "answers 410: it is not there"),
        (418, AssetError, "answers 418"),
    ],
)
def test_a_refusal_is_said_once_and_keeps_the_token(
    status: int, kind: type, said: str, service: WebService, tmp_path: Path
) -> None:
    client = WebClient("Things", "Token 5ecret", "Get one at the desk")
    url = service.put("/a", {})
    service.faults["/a"] = [status]
    with pytest.raises(AssetError, match=said) as error:
        client.record(f"{url}?Signature=5ignature", "a")
    assert type(error.value) is kind
    assert "5ecret" not in "".join(traceback.format_exception(error.value))
    assert "5ignature" not in str(error.value)
    assert len(service.asked) == 1


def test_nobody_is_there(client: WebClient, waited: list[float], tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"the list: http://127.0.0.1:9/x cannot be reached: .*machine offline"):
        client.record("http://127.0.0.1:9/x", "the list")
    assert waited == [1.0]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", "data:,x"])
def test_an_address_that_is_none_of_the_web_is_not_opened(url: str, client: WebClient, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no address of the web"):
        client.file(WebFile(url), tmp_path / "x", "x")
    with pytest.raises(AssetError, match="no address of the web"):
        client.record(url, "x")


def test_a_token_goes_to_no_other_host(service: WebService, tmp_path: Path) -> None:
    with web_service() as other:
        other.put("/list", [1])
        service.faults["/list"] = [(302, {"Location": f"{other.url}/list"})]
        url = service.put("/list", [2])
        client = WebClient("Things", "Token 5ecret")
        assert client.record(url, "the list") == [1]
        assert service.asked[0].headers["Authorization"] == "Token 5ecret"
        assert "Authorization" not in other.asked[0].headers
        client.file(WebFile(service.put("/box", DATA)), tmp_path / "box", "box")
        assert "Authorization" not in service.asked[-1].headers, "files have signed addresses"


def test_a_redirect_to_a_file_is_not_followed(service: WebService, client: WebClient, tmp_path: Path) -> None:
    service.faults["/a"] = [(302, {"Location": "file:///etc/passwd"})]
    url = service.put("/a", {})
    with pytest.raises(AssetError, match="answers 302"):
        client.file(WebFile(url), tmp_path / "x", "x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_json_is_refused(service: WebService, client: WebClient) -> None:
    with pytest.raises(AssetError, match=r"the list: the answer of http://127.0.0.1:\d+/page is not JSON"):
        client.record(service.put("/page", b"<html>"), "the list")
