"""What is in the file that W&B writes beside a run, `run-<id>.wandb`."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768  # of the LevelDB log format, in which the file is written


def records(directory: Path) -> Iterator[Any]:
    """Read W&B's record of a run, without W&B's own reader."""
    (path,) = directory.glob("*.wandb")
    raw = path.read_bytes()
    position, part = 7, b""
    while position + 7 <= len(raw):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", raw, position + 4)
        part += raw[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(part)
            yield record
            part = b""


def items(directory: Path, kind: str) -> dict[str, Any]:
    """All values of one kind of record, `config` or `history`, by key."""
    found = [record for record in records(directory) if record.WhichOneof("record_type") == kind]
    entries = [entry for record in found for entry in (record.config.update or record.history.item)]
    return {entry.key or "/".join(entry.nested_key): json.loads(entry.value_json) for entry in entries}


def history(directory: Path) -> list[dict[str, Any]]:
    """What was logged, call by call."""
    found = [record.history for record in records(directory) if record.WhichOneof("record_type") == "history"]
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in logged.item}
        for logged in found
    ]
