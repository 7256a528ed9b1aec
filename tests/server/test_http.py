"""Requests to a running server: who is let in, what is refused, what comes back, and what is left behind."""

import io
import json
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import defocusctl
from tests.server.serving import OPTIONS, SESSION, Server, half_blurred, serving, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/../", "/%00/", "/ä/".encode().decode("latin-1")])
def test_without_the_token_there_is_nothing(server: Server, path: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1"))
        answer = connection.makefile("rb").read()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"Deblur" not in answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "192.0.2.1"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
        ({"Host": "localhost:1", "Origin": "https://localhost:1"}, 403),
    ],
)
def test_host_and_origin_must_be_those_of_the_page(
    server: Server, headers: dict[str, str], status: int
) -> None:
    assert server.ask("GET", "", headers=headers)[0] == status


def test_another_page_cannot_post(server: Server) -> None:
    path = f"{SESSION}/photos?model=iniknet&scale=auto&name=a.jpg"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = server.ask("POST", path, b"x", headers)
        assert (status, json.loads(answer)) == (403, {"error": "another page must not use this server"})
    assert server.files() == []


def test_what_is_too_much_or_not_understood_is_refused(server: Server, tmp_path: Path) -> None:
    path = f"{SESSION}/photos?model=iniknet&scale=auto&name=a.jpg"
    too_large = "the file is larger than 0.2 MB, the limit of this server: start it with --max-upload"
    status, answer = server.ask("POST", path, b"x" * 200_001)
    assert (status, json.loads(answer)) == (400, {"error": too_large})
    status, answer = server.ask("POST", path, iter([b"x" * 100_000] * 3))  # chunked, of unknown length
    assert (status, json.loads(answer)) == (400, {"error": too_large})
    for query, words in (("model=none&scale=auto", "none"), ("model=iniknet&scale=2", "'2' is not a scale")):
        status, answer = server.ask("POST", f"{SESSION}/photos?{query}", b"x")
        assert status == 400
        assert words in json.loads(answer)["error"]
    assert server.files() == []
    choice = b'[{"id": "x", "strength": %d, "max_blur": null}]'
    for body in (b"{", b"{}", b"[]", b"[1]", choice % 1, choice % 10**400, b"[" * 100_000):
        status, answer = server.ask("POST", f"{SESSION}/results", body)
        assert status == 400
        assert set(json.loads(answer)) == {"error"}
    long = f"{SESSION}/results/{'x' * 300}"
    for path in (
        "nothing",
        "x/photos",
        f"{SESSION}/results/..%2f..%2flock",
        f"{SESSION}/photos/x/1/before",
        long,
    ):
        status, answer = server.ask("GET", path)
        assert status in (400, 404, 405)
        assert set(json.loads(answer)) == {"error"}


def test_a_count_above_the_limit_is_refused(server: Server, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    for _ in range(6):
        server.upload(bad)
    status, answer = server.ask(
        "POST", f"{SESSION}/photos?model=iniknet&scale=auto&name=a.jpg", bad.read_bytes()
    )
    assert (status, json.loads(answer)["error"]) == (
        400,
        "there are 6 photos on this server, which is its limit: remove some, or start it with --max-photos",
    )


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    head = (
        f"POST {server.path}{SESSION}/photos?model=iniknet&scale=auto&name=a.jpg HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + b"x" * 1000)
        wait_until(lambda: len(server.files()) == 1)
    wait_until(lambda: server.files() == [])
    assert server.state() == []


def test_hostile_files_get_one_line_without_the_folder(server: Server, tmp_path: Path) -> None:
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (2**31 - 1).to_bytes(4) * 2 + b"\x08\x02\0\0\0" + b"\0" * 50
    for content, words in (
        (b"", "the file is empty"),
        (b"<html><script>alert(1)</script>", "cannot use 'a'"),
        (b"\xff\xd8\xff\xe0" + b"x" * 500, "damaged"),
        (bomb, "cannot use"),
    ):
        path = tmp_path / "a"
        path.write_bytes(content)
        key = server.upload(path)
        photo = server.finished(key)
        assert photo["status"] == "failed"
        assert words in photo["error"]
        assert "\n" not in photo["error"]
        assert str(server.temporary) not in photo["error"]
        assert server.ask("DELETE", f"{SESSION}/photos/{key}")[0] == 204
    assert server.files() == []


def test_downloads_are_what_the_command_writes(server: Server, tmp_path: Path) -> None:
    photos = [half_blurred(tmp_path / name) for name in ("one.jpg", "two.tif", "three.png")]
    keys = [server.upload(photo) for photo in photos]
    choices = []
    for key, strength, max_blur in zip(keys, (1.0, 0.5, 0.25), (None, 3.0, None), strict=True):
        assert server.finished(key)["status"] == "done"
        choices.append({"id": key, "strength": strength, "max_blur": max_blur})
    expected = {}
    for photo, choice in zip(photos, choices, strict=True):
        options = ["--strength", choice["strength"]]
        options += [] if choice["max_blur"] is None else ["--max-blur", choice["max_blur"]]
        answer = defocusctl("deblur", photo, *OPTIONS, *options)
        assert answer.code == 0, answer.err
        result = photo.with_stem(f"{photo.stem}_deblurred")
        name, content = server.download([choice])
        assert name == result.name
        expected[name] = content
        if choice["max_blur"] is None:
            assert content == result.read_bytes()
        else:  # the command computes smaller windows, without what is blurred more
            with Image.open(io.BytesIO(content)) as one, Image.open(result) as other:
                assert one.getexif() == other.getexif()
                assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    name, content = server.download(choices)
    assert name == "deblurred.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {each: archive.read(each) for each in archive.namelist()} == expected
    status, tile = server.ask("GET", f"{SESSION}/photos/{keys[2]}/1/before/0/0")
    assert status == 200
    with Image.open(io.BytesIO(tile)) as shown, Image.open(photos[2]) as original:
        assert np.array_equal(np.asarray(shown), np.asarray(original))
    assert server.ask("GET", f"{SESSION}/photos/{keys[2]}/1/before/1/0")[0] == 404
    again = f"{SESSION}/photos/{keys[0]}/again?model=iniknet&scale=1/2"
    assert server.ask("POST", again)[0] == 204
    wait_until(lambda: server.finished(keys[0])["round"] == 2)
    assert server.download(choices[:1])[1] != expected["one_deblurred.jpg"]


def test_deblurring_again_in_vain_keeps_the_result(server: Server, tmp_path: Path) -> None:
    key = server.upload(half_blurred(tmp_path / "photo.png"))
    choice = {"id": key, "strength": 1, "max_blur": None}
    before = server.finished(key)
    result = server.download([choice])
    assert server.ask("POST", f"{SESSION}/photos/{key}/again?model=iniknet&scale=1/8")[0] == 204
    after = server.finished(key)
    assert after["error"].startswith("at a scale of 1/8, a photo of 96x64 pixels has fewer than 32")
    assert after == {**before, "error": after["error"], "tiles": [0, 0]}
    assert server.download([choice]) == result


def test_what_failed_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    key = server.upload(tmp_path / "photo.jpg")
    choice = json.dumps([{"id": key, "strength": 1, "max_blur": None}])
    status, answer = server.ask("POST", f"{SESSION}/results", choice)
    assert (status, json.loads(answer)["error"]) == (400, "'photo.jpg' could not be restored: remove it")


def test_names_in_the_zip_differ_in_more_than_case(server: Server, tmp_path: Path) -> None:
    photo = half_blurred(tmp_path / "photo.png")
    names = ("\N{LATIN SMALL LETTER E WITH ACUTE}.png", "E\N{COMBINING ACUTE ACCENT}.PNG")
    keys = [server.upload(photo, name) for name in names]
    for key in keys:
        assert server.finished(key)["status"] == "done"
    _, content = server.download([{"id": key, "strength": 1, "max_blur": None} for key in keys])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [
            "\N{LATIN SMALL LETTER E WITH ACUTE}_deblurred.png",
            "E\N{COMBINING ACUTE ACCENT}_deblurred (2).PNG",
        ]


def test_photos_of_a_closed_page_are_forgotten(tmp_path: Path) -> None:
    session = "f" * 32
    with serving(tmp_path, "--forget-after", "0.02") as server:
        key = server.upload(half_blurred(tmp_path / "photo.jpg"), session=session)
        assert server.finished(key, session)["status"] == "done"  # asking keeps it
        server.download([{"id": key, "strength": 1, "max_blur": None}], session)
        assert len(server.files()) == 2
        wait_until(lambda: server.files() == [])
        assert server.state(session) == []


@pytest.mark.posix
def test_after_ctrl_c_and_after_a_kill_nothing_is_left(tmp_path: Path) -> None:
    photo = half_blurred(tmp_path / "photo.png")
    with serving(tmp_path) as killed, serving(tmp_path) as other:
        assert killed.temporary == other.temporary
        killed.finished(killed.upload(photo))
        folders = list(killed.temporary.glob("defocusctl-serve-*"))
        assert len(folders) == 2
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
        killed.process.kill()
        killed.process.wait()
        assert len(list(killed.temporary.iterdir())) == 2
        with serving(tmp_path) as ended:
            left = list(ended.temporary.iterdir())
            assert len(left) == 2
            assert other.ask("GET", "")[0] == 200
            ended.upload(photo)
            code, said = ended.stop()
            assert code == 0
            assert said.splitlines()[-1] == "ended; all photos on the page are removed"
            assert "Traceback" not in said
            assert len(list(ended.temporary.iterdir())) == 1
        with socket.create_connection(
            ("127.0.0.1", other.port)
        ) as held:  # a page that is open does not keep it
            held.sendall(f"GET {other.path}{SESSION}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert held.recv(100)
            assert other.stop()[0] == 0
        assert list(other.temporary.iterdir()) == []


def test_an_open_server_goes_by_all_addresses_and_warns(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as server:
        for host, status in (("192.0.2.1:1", 200), (socket.gethostname(), 200), ("evil.example", 421)):
            assert server.ask("GET", "", headers={"Host": host})[0] == status
        assert "the network can read along" in server.stop()[1]


def test_an_address_that_is_taken_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    answer = defocusctl("serve", "--port", server.port, "--offline")
    assert answer.code == 2
    assert f"cannot listen on 127.0.0.1, port {server.port} (Address already in use)" in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--forget-after", "--max-upload"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_what_is_not_finite_is_refused(home: Path, option: str, value: str) -> None:
    answer = defocusctl("serve", option, value)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {option} {value} is not possible: give a")


def test_without_the_extra_one_line_says_what_to_install(home: Path) -> None:
    program = (
        "import sys\nsys.modules['uvicorn'] = None\n"
        "from defocusctl.cli.app import run\nsys.exit(run(['serve'], debug=False))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: uvicorn is not installed: pip install 'defocusctl[serve]'\n"
