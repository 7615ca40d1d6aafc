"""Model files in the folder of a training: one, or those of a committee's members."""

from __future__ import annotations

from pathlib import Path

from gnnpot.errors import ModelFileError

MODEL_FILE, MEMBERS, FINISHED = "model.safetensors", "members", "metrics.json"


def single_file(path: str | Path) -> Path:
    """The model file that a path stands for: itself, or that of a training's folder.

    Raises:
        ModelFileError: A folder holds none, or those of a committee.
    """
    files = member_files(path)
    if len(files) > 1:
        raise ModelFileError(
            f"expected one potential, got a committee of {len(files)} in {path}; give the file of a member, "
            f"e.g. {files[0]}"
        )
    return files[0]


def member_files(path: str | Path) -> list[Path]:
    """The model files that a path stands for: itself, or those of a training's folder.

    Raises:
        ModelFileError: A folder holds none, or those of a committee whose training has not ended.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    members = sorted(path.glob(f"{MEMBERS}/*/{MODEL_FILE}"), key=lambda file: (len(str(file)), str(file)))
    if members and (path / FINISHED).exists():
        return members
    if members:
        raise ModelFileError(
            f"expected a committee whose training has ended, got {path} without {FINISHED}; go on with "
            "--resume, or give the files of the members"
        )
    if (path / MODEL_FILE).exists():
        return [path / MODEL_FILE]
    raise ModelFileError(
        f"expected the folder of a training, got {path} without {MODEL_FILE}; check the path"
    )
