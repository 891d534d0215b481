"""What comes out of archives, and what is not let out of them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from porter.errors import DataError
from porter.launch.unpack import unpack

Member = tuple[str, bytes | None, bytes]
"""Name, type in a tar (None is a folder), and content or what a link points to."""

FILE = tarfile.REGTYPE


def tar(path: Path, members: list[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind or tarfile.DIRTYPE
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = content.decode()
            member.size = len(content) if kind == FILE else 0
            made.addfile(member, io.BytesIO(content) if kind == FILE else None)
    return path


def zipped(path: Path, members: list[Member]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, kind, content in members:
            info = zipfile.ZipInfo(name if kind else f"{name}/")
            kinds = {
                FILE: stat.S_IFREG,
                None: stat.S_IFDIR,
                tarfile.SYMTYPE: stat.S_IFLNK,
                tarfile.CHRTYPE: stat.S_IFCHR,
            }
            info.external_attr = (kinds[kind] | 0o644) << 16
            made.writestr(info, content)
    return path


def packed(folder: Path, ending: str, members: list[Member]) -> Path:
    folder.mkdir(exist_ok=True)
    if ending == ".zip":
        return zipped(folder / "images.zip", members)
    return tar(folder / f"images{ending}", members, "w" if ending == ".tar" else "w:gz")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".tar", ".zip"])
@pytest.mark.parametrize("prefix", ["", "./", "images/", "./images/"])
def test_an_archive_becomes_the_folder_that_is_named_like_it(
    tmp_path: Path, ending: str, prefix: str
) -> None:
    members: list[Member] = [(f"{prefix}cat", None, b""), (f"{prefix}cat/a.jpg", FILE, b"a")]
    if prefix:
        members.insert(0, (prefix.rstrip("/"), None, b""))
    made = unpack(packed(tmp_path, ending, members), tmp_path / "made", "images")
    assert files(made) == {"cat/a.jpg": b"a"}


def test_a_folder_with_company_stays_a_folder(tmp_path: Path) -> None:
    archive = packed(tmp_path, ".tar", [("images/a.jpg", FILE, b"a"), ("read.me", FILE, b"b")])
    assert files(unpack(archive, tmp_path / "made", "images")) == {"images/a.jpg": b"a", "read.me": b"b"}
    twice = packed(tmp_path, ".tgz", [("images/images/a.jpg", FILE, b"a")])
    assert files(unpack(twice, tmp_path / "twice", "images")) == {"images/a.jpg": b"a"}


@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_links_inside_are_kept(tmp_path: Path, ending: str) -> None:
    members: list[Member] = [
        ("images/b/link.jpg", tarfile.SYMTYPE, b"../a.jpg"),
        ("images/a.jpg", FILE, b"a"),
    ]
    made = unpack(packed(tmp_path, ending, members), tmp_path / "made", "images")
    moved = made.rename(tmp_path / "moved")
    assert (moved / "b" / "link.jpg").is_symlink()
    assert files(moved) == {"a.jpg": b"a", "b/link.jpg": b"a"}


def test_a_second_name_of_a_file_is_kept(tmp_path: Path) -> None:
    archive = packed(tmp_path, ".tar", [("a.jpg", FILE, b"a"), ("b.jpg", tarfile.LNKTYPE, b"a.jpg")])
    assert files(unpack(archive, tmp_path / "made", "images")) == {"a.jpg": b"a", "b.jpg": b"a"}


LINK, HARD, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
HOSTILE: list[list[Member]] = [
    [("../escaped", FILE, b"x")],
    [("images/../../escaped", FILE, b"x")],
    [("{outside}/escaped", FILE, b"x")],
    [("../escaped", None, b"")],
    [("link", LINK, b"..")],
    [("link", LINK, b"../escaped")],
    [("link", LINK, b"{outside}")],
    [("link", LINK, b"{outside}"), ("link/escaped", FILE, b"x")],
    [("link", LINK, b"."), ("link/../../escaped", FILE, b"x")],
    # It stays inside as it is written, and leads out by way of the other one.
    [("a/b", None, b""), ("up", LINK, b"a/b/.."), ("out", LINK, b"up/../../escaped")],
    [("images", None, b""), ("images/a.jpg", LINK, b"../annotations.json")],
    [("images", None, b""), ("images/a.jpg", LINK, b"../../made/images/b.jpg"), ("images/b.jpg", FILE, b"")],
    [("device", DEVICE, b"")],
]


@pytest.mark.parametrize("members", HOSTILE)
@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_nothing_leaves_the_folder(tmp_path: Path, ending: str, members: list[Member]) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    filled = [
        (name.format(outside=outside), kind, content.replace(b"{outside}", str(outside).encode()))
        for name, kind, content in members
    ]
    archive = packed(tmp_path / "archives", ending, filled)
    with pytest.raises(DataError) as caught:
        unpack(archive, inside / "made", "images")
    assert archive.name in str(caught.value)
    assert caught.value.next_step == "pack it anew" or "pack it anew:" in caught.value.next_step
    assert list(outside.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"archives", "inside", "outside"}
    assert [path.name for path in inside.iterdir()] == ["made"]


@pytest.mark.parametrize("target", ["../escaped", "{outside}/secret", "gone.jpg"])
def test_a_second_name_of_a_file_outside_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "escaped").write_bytes(b"secret")
    where = target.format(outside=tmp_path).encode()
    archive = packed(tmp_path, ".tar", [("a.jpg", HARD, where)])
    (tmp_path / "inside").mkdir()
    with pytest.raises(DataError, match="not unpacked"):
        unpack(archive, tmp_path / "inside" / "made", "images")
    assert files(tmp_path / "inside") == {}


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.BLKTYPE, tarfile.CHRTYPE])
def test_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(DataError, match="a device"):
        unpack(packed(tmp_path, ".tar", [("a", kind, b"")]), tmp_path / "made", "images")


def encrypted(path: Path) -> None:
    data = bytearray(zipped(path, [("a.jpg", FILE, b"a")]).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)


def changed(path: Path) -> None:
    zipped(path, [("a.jpg", FILE, b"unchanged")])
    path.write_bytes(path.read_bytes().replace(b"unchanged", b"different"))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("images.zip", lambda path: path.write_bytes(b"nothing")),
        ("images.zip", encrypted),
        ("images.zip", changed),
        ("images.tar", lambda path: path.write_bytes(b"x" * 1024)),
        ("images.tar.gz", lambda path: path.write_bytes(b"nothing")),
        ("images.tar.gz", lambda path: path.write_bytes(tar(path, _LARGE).read_bytes()[:-2000])),
        ("images.tar", lambda path: tar(path, [("a", FILE, b"x"), ("a/b", FILE, b"x")], "w")),
        ("images.tar", lambda path: tar(path, [("a", LINK, b"b"), ("b", LINK, b"a")], "w")),
        ("images.tar", lambda path: tar(path, [("a" * 300, FILE, b"x")], "w")),
    ],
)
def test_a_broken_archive_is_told(tmp_path: Path, name: str, make: Callable[[Path], object]) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match="unpacked") as caught:
        unpack(tmp_path / name, tmp_path / "made", "images")
    assert "pack it anew" in caught.value.next_step


_LARGE: list[Member] = [("a", FILE, bytes(number * 7919 % 251 for number in range(200_000)))]


def test_what_is_larger_than_the_disk_is_refused_before_it_fills_it(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    member = tarfile.TarInfo("a.bin")
    member.size = 2**60
    archive.write_bytes(member.tobuf() + b"x" * 1024)
    with pytest.raises(DataError, match="no room for") as caught:
        unpack(archive, tmp_path / "made", "images")
    assert "--runs" in caught.value.next_step
    assert files(tmp_path / "made") == {}


def test_it_is_told_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    archive = packed(tmp_path, ".zip", [("a", FILE, b"123"), ("b", FILE, b"45")])
    unpack(archive, tmp_path / "made", "images", lambda count, size: told.append((count, size)))
    assert told[-1] == (2, 5)
