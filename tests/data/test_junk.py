"""Files of junk with the names of data end in one line that names the file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
import warnings

import pytest

from gnnpot.data.reading import read_frames
from gnnpot.errors import DataError

NAMES = [
    "a.xyz", "a.extxyz", "a.traj", "a.db", "a.json", "a.cif", "a.nc", "a.gpw", "a.gjf", "a.com", "a.xsf",
    "a.cube", "a.res", "a.cfg", "a.gen", "a.pdb", "a.html", "a.lammpsdata", "a.lammpstrj", "a.xml", "a.bin",
    "a", "POSCAR", "OUTCAR", "vasprun.xml", "a.pwo", "a.pwi", "a.out", "a.vti", "a.hdf5", "a.xyz.xz",
    "a.xyz.gz", "a.xyz.bz2", "a.traj.xz",
]  # fmt: skip
RANDOM = random.Random(0).randbytes(400)
XYZ = b"2\n\nH 0 0 0\nH 0 0 1\n"
CONTENTS = {
    "random bytes": RANDOM,
    "text": b"some text\nof 3 4 5 words\n1 2 3\n\n",
    "zeros": bytes(500),
    "nested": b"[" * 50_000,
    "cut off, compressed": lzma.compress(XYZ * 50)[:60],
    "cut off, zipped": gzip.compress(XYZ * 50)[:-4],
    "compressed junk": bz2.compress(RANDOM),
    "netCDF": b"CDF\x01" + bytes(100),
    "netCDF of junk": b"CDF\x02" + RANDOM,
    "ULM": b"- of UlmASE-Trajectory\x00\x00" + RANDOM,
    "GPAW": b"- of Ulmgpaw" + bytes(12) + RANDOM,
    "HDF": b"\x89HDF\r\n\x1a\n" + RANDOM,
    "SQLite": b"SQLite format 3\x00" + RANDOM,
    "XML": b"<?xml version='1.0'?><modeling><a/></modeling>",
    "JSON": b'{"1": {"numbers": [1], "positions": 3}}',
    "Gaussian": b"%mem=1GB\n#P foo\n\nx\n\n0 1\nH 0.0 0.0\n",
}  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS)
def test_junk_is_refused_in_one_line(tmp_path, content, capsys):
    for name in NAMES:
        path = tmp_path / name
        path.write_bytes(CONTENTS[content])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(DataError) as refused:
                list(read_frames([path]))
        said = str(refused.value)
        assert name in said
        assert "\n" not in said
        assert "[Errno" not in said
        assert len(said) < 700
    assert capsys.readouterr().out == ""  # figures go there


def test_a_reader_that_lacks_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    (tmp_path / "a.nc").write_bytes(CONTENTS["netCDF"])
    with pytest.raises(
        DataError, match=r"the package netCDF4 to read .*a.nc, .*; install it: pip install netCDF4"
    ):
        list(read_frames([tmp_path / "a.nc"]))
