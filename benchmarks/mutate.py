"""Damage files at random and see what becomes of them.

Structures, model files, checkpoints and configurations are mutated (bytes, lines, numbers, nesting,
truncation) and read in-process.  A file may be read, or refused in one line; it must not end in a traceback,
kill the process, take more than ten seconds of the processor, or, being a model file, be read with another
energy than before.  Model files are mutated as they are, which their checksum must find, and signed again,
when whatever is read must give a finite energy.

    python benchmarks/mutate.py --structures 1000 --models 500 --json mutations.json
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import multiprocessing
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase import Atoms
from ase.io import read, write
from options import Parser, count

from gnnpot.config.base import shipped_configs
from gnnpot.data.reading import content_hash, read_frames
from gnnpot.data.split import read_splits
from gnnpot.errors import GnnpotError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODELS, build_model
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import checksum, load_potential, save_potential
from gnnpot.potential.potential import Potential
from gnnpot.training.checkpoint import read_checkpoint
from gnnpot.training.run_config import RunConfig

OUTCOMES = ("read", "other content", "refused", "long line", "traceback", "slow", "process died")
FAULTS = ("long line", "traceback", "slow", "process died", "other energy", "not finite")
LIMIT = 10  # seconds of the processor
_CHUNK = 250  # mutations of one process
_LONGEST = 1000  # characters of a message
_WORDS = [
    b"nan", b"inf", b"-inf", b"1e999", b"-1e999", b"1e30", b"0", b"-1", b"9" * 400, b"", b" ", b"\n", b"\t",
    b"[", b"]", b"{", b"}", b'"', b"'", b":", b"&a", b"*a", b"!!python/object:os.system", b"2020-13-45",
    b"true", b"null", b"Lattice=", b"Properties=", b"\xff\xfe", "Å".encode(), b"\x00", b"[" * 5000,
    b"- " * 5000,
]  # fmt: skip


class Slow(BaseException):
    """A file that takes too long to read."""


@dataclass(frozen=True)
class Subject:
    """What is mutated.

    Attributes:
        kind: Row of the table.
        name: Name of the file.
        data: What it holds before.
        look: Reads a file; gives what must stay the same, or a word that tells of a fault.
        sign: Makes a mutated file pass its checksum.
    """

    kind: str
    name: str
    data: bytes
    look: Callable[[Path], str]
    sign: Callable[[bytes, random.Random], bytes] | None = None


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few random changes of one kind or another."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        rng.choice(CHANGES)(changed, rng)
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice([1, 4, 50, 1000])]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = data[start : start + rng.choice([1, 8, 80, 1000])]


def _insert(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice(_WORDS)


def _word(data: bytearray, rng: random.Random) -> None:
    """Put a strange word in place of one between spaces, as of a number."""
    words = bytes(data[:4000]).split(b" ")
    words[rng.randrange(len(words))] = rng.choice(_WORDS)
    data[:4000] = b" ".join(words)


def _line(data: bytearray, rng: random.Random) -> None:
    """Remove, repeat or swap lines."""
    lines = bytes(data).split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(3)
    if change == 0:
        del lines[first]
    elif change == 1:
        lines.insert(second, lines[first])
    else:
        lines[first], lines[second] = lines[second], lines[first]
    data[:] = b"\n".join(lines)


CHANGES = (_flip, _replace, _cut, _remove, _repeat, _insert, _word, _line)


def structure_subjects(folder: Path) -> Iterator[Subject]:
    """The same few structures in formats that people train from."""
    frames = read(Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz", "::60")
    names = [
        "a.xyz",
        "a.extxyz",
        "a.traj",
        "a.db",
        "a.json",
        "a.cif",
        "POSCAR",
        "a.gen",
        "a.xsf",
        "a.res",
        "a.cfg",
    ]
    for name in names:
        path, several = (
            folder / name,
            name.rpartition(".")[2] in ("xyz", "extxyz", "traj", "db", "json", "xsf"),
        )
        write(path, frames if several else frames[0])
        yield Subject(f"structures: {name}", name, path.read_bytes(), _structures)
        if name == "a.xyz":
            yield Subject("structures: a.xyz.gz", "a.xyz.gz", gzip.compress(path.read_bytes()), _structures)
    yield from (
        Subject(f"structures: {name}", name, text.encode(), _structures) for name, text in OUTPUTS.items()
    )


def _structures(path: Path) -> str:
    """All frames as a hash, with graphs of those that have few atoms near each other."""
    seen = []
    for atoms in read_frames([path]):
        seen.append(content_hash(atoms))
        if len(atoms) <= 300:
            AtomicGraph.from_ase(atoms, 3.0)
    return " ".join(seen)


def model_subjects(folder: Path) -> Iterator[Subject]:
    """A small file of each model, mutated as it is and signed again."""
    small: dict[str, dict[str, Any]] = {
        "schnet": {"channels": 4, "num_filters": 4, "num_basis": 4, "num_interactions": 1},
        "ani": {"hidden": (4, 4)},
        "dimenet++": {"channels": 4, "interaction_channels": 4, "basis_channels": 2, "output_channels": 4,
                    "num_blocks": 1},
        "nequip": {"channels": 2, "num_interactions": 1, "l_max": 1, "radial_hidden": (4,), "num_basis": 4},
    }  # fmt: skip
    for kind, sizes in small.items():
        torch.manual_seed(0)
        model = build_model(MODELS[kind].Config(kind=kind, cutoff=4.0, **sizes), ["Si"])
        path = folder / f"{kind}.safetensors"
        save_potential(Potential(model, {"Si": -5.0}, scale=1.0), path)
        data = path.read_bytes()
        yield Subject(f"model: {kind}", path.name, data, _energy)
        yield Subject(f"model signed again: {kind}", path.name, data, _energy, _signed)


def _probe() -> Atoms:
    atoms = Atoms("Si2", [[0, 0, 0], [1.3, 1.4, 1.5]], cell=[5.0, 5.2, 5.4], pbc=True)
    return atoms * (1, 1, 2)


def _energy(path: Path) -> str:
    read_header(path)
    potential = load_potential(path)
    graph = AtomicGraph.from_ase(_probe(), potential.cutoff, potential.dtype)
    prediction = potential(graph)
    energy = prediction.energy.item()
    return (
        f"{energy!r}"
        if np.isfinite(energy) and bool(torch.isfinite(prediction.forces).all())
        else "not finite"
    )


def _signed(data: bytes, rng: random.Random) -> bytes:
    """A model file with a changed header or changed tensors and the checksum of what it now holds."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    document = json.loads(header["__metadata__"]["gnnpot"])
    if rng.random() < 0.5:
        _change_value(document, rng)
    else:
        name = rng.choice([name for name in header if name != "__metadata__"])
        start, end = header[name]["data_offsets"]
        change = rng.randrange(3)
        if change == 0 and end > start:
            place = start + 4 * rng.randrange((end - start) // 4)
            body[place : place + 4] = struct.pack(
                "<f", rng.choice([np.nan, np.inf, -np.inf, 1e30, 0.0, -1.0])
            )
        elif change == 1:
            header[name]["dtype"] = rng.choice(["I32", "F16", "BF16", "U8", "F64", "BOOL"])
        else:
            header[name]["shape"] = rng.choice(
                [[], [1], header[name]["shape"][::-1], [*header[name]["shape"], 1]]
            )
    return _with_checksum(header, document, bytes(body))


def _change_value(values: Any, rng: random.Random) -> None:
    """Put something strange in one place of a JSON document."""
    while True:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(values[key], dict | list) and values[key] and rng.random() < 0.8:
            values = values[key]
            continue
        strange = [None, -1, 0, 1, 3, 1e30, 10**30, "x", "", [], {}, [[[]]], True, 1e-30, 7.5, "Xx", 10**7]
        values[key] = rng.choice(strange)
        if isinstance(values, dict) and rng.random() < 0.2:
            del values[key]
        return


def _with_checksum(header: dict[str, Any], document: dict[str, Any], body: bytes) -> bytes:
    def packed() -> bytes:
        header["__metadata__"]["gnnpot"] = json.dumps(document)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + body

    from safetensors import SafetensorError
    from safetensors.torch import load

    with contextlib.suppress(SafetensorError, ValueError, KeyError, RuntimeError, TypeError):
        document["checksum"] = checksum(document, load(packed()))
    return packed()


def other_subjects(folder: Path) -> Iterator[Subject]:
    """What a run folder holds beside models: a checkpoint, a configuration, splits."""
    training = folder / "training"
    config = {
        "model": {"kind": "schnet", "cutoff": 3.0, "channels": 4, "num_filters": 4, "num_basis": 4,
                  "num_interactions": 1},
        "training": {"max_epochs": 1, "device": "cpu"}, "train": "gnnpot:silicon-demo.xyz",
    }  # fmt: skip
    from gnnpot.training.run import train

    train(RunConfig.from_dict(config, source="mutate"), training)
    for name, look in (("last.ckpt", _checkpoint), ("splits.json", _splits), ("config.yaml", _config)):
        yield Subject(f"run folder: {name}", name, (training / name).read_bytes(), look)
    for name, path in shipped_configs().items():
        values = yaml.safe_load(path.read_text())
        if "train" in values and "source" not in values and "model" in values:
            yield Subject("configurations", f"{name.replace('/', '-')}.yaml", path.read_bytes(), _config)


def _checkpoint(path: Path) -> str:
    saved = read_checkpoint(path)
    return str(sorted(saved["state_dict"]))


def _splits(path: Path) -> str:
    return str(read_splits(path))


def _config(path: Path) -> str:
    return RunConfig.from_yaml(path).as_yaml()


OUTPUTS = {
    "a.lammpsdata": """LAMMPS

2 atoms
1 atom types
0 4 xlo xhi
0 4 ylo yhi
0 4 zlo zhi

Atoms

1 1 0 0 0
2 1 1 1 1
""",
    "a.pwo": """     Program PWSCF v.7.2 starts
     lattice parameter (alat)  =  10.2
     number of atoms/cell = 2
     celldm(1)=  10.2
!    total energy              =     -15.8 Ry
     Forces acting on atoms
     atom    1 type  1   force =     0.0    0.0    0.0
""",
    "a.gjf": "%mem=1GB\n# B3LYP/6-31G*\n\ntitle\n\n0 1\nH 0.0 0.0 0.0\nH 0.0 0.0 0.7\n\n",
    "vasprun.xml": """<?xml version="1.0"?>
<modeling>
<atominfo><atoms>1</atoms><array name="atoms"><set><rc><c>Si</c><c>1</c></rc></set></array></atominfo>
<calculation><structure><crystal>
<varray name="basis"><v>5 0 0</v><v>0 5 0</v><v>0 0 5</v></varray></crystal>
<varray name="positions"><v>0 0 0</v></varray></structure>
<energy><i name="e_fr_energy">-5</i></energy></calculation>
</modeling>
""",
    "a.nc": "CDF\x01\x00\x00\x00\x00",
    "a.gpw": "- of UlmASE-gpaw",
    "a.html": "<html></html>",
}


def outcome(subject: Subject, path: Path, before: str) -> tuple[str, str]:
    """What becomes of a file, and what there is to say of it."""
    said = io.StringIO()
    try:
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen = subject.look(path)
    except GnnpotError as error:
        text = str(error)
        return ("refused", "") if "\n" not in text and len(text) <= _LONGEST else ("long line", text[:300])
    except Slow:
        return "slow", traceback.format_exc(limit=-3)
    except BaseException:
        return "traceback", traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if seen == "not finite":
        return seen, ""
    if seen == before:
        return "read", ""
    if subject.kind.startswith("model:"):
        return "other energy", f"{before} {seen}"
    return "other content", ""


def _raise_slow(number: int, frame: object) -> None:
    raise Slow


def undamaged(subject: Subject, path: Path) -> str:
    """What a file gives before it is mutated; some are refused from the first."""
    try:
        return subject.look(path)
    except GnnpotError:
        return ""


def look_at(subject: Subject, seeds: range, folder: Path, keep: Path | None, channel: Any) -> None:
    """Mutate and read in this process; sends each outcome, after a word of what comes next."""
    signal.signal(signal.SIGPROF, _raise_slow)
    path = folder / subject.name
    path.write_bytes(subject.data)
    before = undamaged(subject, path)
    for seed in seeds:
        rng = random.Random(f"{subject.kind} {seed}")
        change = subject.sign or mutated
        data = change(subject.data, rng)
        path.write_bytes(data)
        channel.send(("next", seed, ""))
        word, detail = outcome(subject, path, before)
        if keep is not None and word in FAULTS:
            (keep / f"{seed}-{subject.kind.replace(' ', '-').replace(':', '')}-{path.name}").write_bytes(data)
        channel.send((word, seed, detail))
    channel.send(("end", 0, ""))


def outcomes(subject: Subject, number: int, seed: int, keep: Path | None) -> Iterator[tuple[str, int, str]]:
    """Outcomes of many mutations, each few hundred in a process of their own, which may die."""
    start, end = seed, seed + number
    context = multiprocessing.get_context("fork")
    while start < end:
        ours, theirs = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(start, min(end, start + _CHUNK))
            process = context.Process(target=look_at, args=(subject, seeds, Path(folder), keep, theirs))
            process.start()
            theirs.close()
            at = start
            try:
                while (found := ours.recv())[0] != "end":
                    if found[0] != "next":
                        yield found
                    at = found[1]
                start = seeds.stop
            except EOFError:
                process.join()
                yield "process died", at, f"exit code {process.exitcode}"
                start = at + 1
            process.join()


def main() -> None:
    """Mutate, count, print a table, and end with 1 if anything went wrong."""
    parser = Parser(__doc__)
    parser.add_argument("--structures", type=count, default=300, help="mutated files of structures")
    parser.add_argument("--models", type=count, default=200, help="mutated model files")
    parser.add_argument(
        "--others", type=count, default=100, help="mutated checkpoints, splits and configurations"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all mutations")
    parser.add_argument("--json", type=Path, help="file for the counts")
    parser.add_argument("--keep", type=Path, help="folder for the files that went wrong")
    asked = parser.parse_args()
    if asked.json is not None:
        parser.make_room(asked.json)
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        groups = [
            (list(structure_subjects(Path(folder))), asked.structures),
            (list(model_subjects(Path(folder))), asked.models),
            (list(other_subjects(Path(folder))), asked.others),
        ]
    counts, details, begun = {}, [], time.monotonic()
    for subjects, total in groups:
        for place, subject in enumerate(subjects):
            number = total // len(subjects) + (place < total % len(subjects))
            row = counts.setdefault(subject.kind, Counter())
            for word, seed, detail in outcomes(subject, number, asked.seed, asked.keep):
                row[word] += 1
                if word in FAULTS:
                    details.append({"kind": subject.kind, "seed": seed, "outcome": word, "detail": detail})
                    print(f"{subject.kind}, seed {seed}: {word}\n{detail}", file=sys.stderr, flush=True)
    show(counts)
    faults = sum(row[word] for row in counts.values() for word in FAULTS)
    total = sum(map(Counter.total, counts.values()))
    print(f"\n{total:,} mutations in {time.monotonic() - begun:.0f} s, {faults} faults, seed {asked.seed}")
    if asked.json is not None:
        figures = {"seed": asked.seed, "mutations": total, "counts": counts, "faults": details}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    os._exit(1 if faults else 0)


def show(counts: dict[str, Counter[str]]) -> None:
    """Print the table."""
    columns = [
        word
        for word in (*OUTCOMES, "other energy", "not finite")
        if any(row[word] for row in counts.values())
    ]
    width = max(map(len, counts))
    print(f"{'':{width}}  {'files':>6}  " + "  ".join(f"{word:>13}" for word in columns))
    for kind, row in counts.items():
        print(f"{kind:{width}}  {row.total():6}  " + "  ".join(f"{row[word]:13}" for word in columns))


if __name__ == "__main__":
    main()
