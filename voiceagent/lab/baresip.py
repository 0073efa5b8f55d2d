"""baresip, a SIP phone that others have written: calls, plays a recording, and records what it hears.

Fetched like the lab's Asterisk, from Debian packages and without root.
"""

import subprocess
from math import ceil
from pathlib import Path
from typing import Final, Literal

import trio

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.wav import WavError, read_wav, write_wav
from voiceagent.lab.debian import LabError, Progress, Recipe, fetch_tree, program

_PROGRAM: Final = "usr/bin/baresip"
_MODULES: Final = "usr/lib/baresip/modules"
_LOADED: Final = ("account", "menu", "g711", "g722", "aufile", "uuid")
#: Starting, calling and ending, on a machine that stands still now and then.
_PATIENCE_S: Final = 30.0

_CONFIG: Final = """\
module_path {modules}
sip_listen {host}:0
audio_player aufile,{folder}/heard.wav
audio_source aufile,{folder}/said.wav
audio_alert aufile,{folder}/alert.wav
audio_path {folder}
ausrc_format s16
auplay_format s16
audio_level no
rtp_ports 40000-49999
"""


def fetch_baresip(cache: Path, progress: Progress) -> Path:
    """The tree of baresip below `cache`; fetched if it is not there yet. Blocks. Raises LabError."""
    recipe = Recipe(
        name="baresip",
        packages=("baresip-core",),
        programs=(_PROGRAM, *(f"{_MODULES}/{module}.so" for module in _LOADED)),
    )
    return fetch_tree(recipe, cache, progress)


async def call_by_baresip(
    tree: Path, folder: Path, server: tuple[str, int], extension: str, said: Pcm, *, codec: Literal["PCMU", "G722"]
) -> Pcm:
    """Call `extension`, play `said`, hang up at its end: what was heard. Works in `folder`. Raises LabError."""
    host, port = server
    _write_configuration(tree, folder, host, said, codec)
    command = [
        *program(tree, _PROGRAM),
        *("-4", "-n", host, "-f", str(folder), "-t", str(ceil(said.seconds) + 2)),
        *("-e", f"/dial sip:{extension}@{host}:{port}"),
    ]
    try:
        with trio.fail_after(said.seconds + _PATIENCE_S):
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.STDOUT, check=False, cwd=folder
            )
    except trio.TooSlowError:
        raise LabError(f"baresip did not end {_PATIENCE_S:g} s after what it had to say") from None
    (folder / "baresip.log").write_bytes(done.stdout)
    try:
        return read_wav((folder / "heard.wav").read_bytes())
    except (FileNotFoundError, WavError):
        last = done.stdout.decode(errors="replace").strip().rpartition("\n")[2]
        raise LabError(f"baresip heard nothing: {last} (log: {folder / 'baresip.log'})") from None


def _write_configuration(tree: Path, folder: Path, host: str, said: Pcm, codec: str) -> None:
    (folder / "config").write_text(
        _CONFIG.format(modules=tree / _MODULES, folder=folder, host=host)
        + "".join(f"module {module}.so\n" for module in _LOADED if module not in ("account", "menu"))
        + "module_app account.so\nmodule_app menu.so\n"
    )
    user = {"PCMU": "baresip", "G722": "hd"}[codec]
    (folder / "accounts").write_text(f"<sip:{user}@{host}>;regint=0;audio_codecs={codec}\n")
    (folder / "said.wav").write_bytes(write_wav(said))
