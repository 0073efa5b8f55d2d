"""Debian packages by way of the host's apt, with lists, cache and package status of its own.

Works for any user. Source: apt.conf(5), apt-get(8).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from voiceagent.lab.debian.commands import LabError, Progress, output_of

#: Where Debian's package debian-archive-keyring puts its keys, by version.
_KEYRINGS: Final = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_NEEDS_APT: Final = "the lab takes Asterisk from Debian packages and needs a Debian host with apt"
_NEEDS_NETWORK: Final = "is the network there, and does the host's own apt-get update work?"
#: Asking apt something that is on this disk already.
_ASK_S: Final = 60.0
#: Package lists (10 MB) and each batch of packages (some 4 MB): as slow as 40 kB/s.
_DOWNLOAD_S: Final = 300.0
_BATCH: Final = 8

#: `#clear` takes away what the host's configuration would have done to the host after an update, and its preferences.
_CONF: Final = """\
#clear APT::Update;
#clear APT::NeverAutoRemove;
#clear APT::Architectures;
#clear DPkg;
Dir::State "{work}";
Dir::State::lists "{work}/lists";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Log "{work}";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{work}/none";
Dir::Etc::trusted "{keyring}";
Dir::Etc::trustedparts "{work}/none";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Debug::NoLocking "true";
"""


@frozen
class Apt:
    """apt with everything it keeps below one folder."""

    conf: Path
    mirror: str
    suite: str

    def closure(self, names: Sequence[str]) -> list[str]:
        """`name=version` of the packages `names` and of all they need, down to the C library."""
        said = self._get("--simulate", "install", *names, within=_ASK_S)
        found = [
            f"{words[1].partition(':')[0]}={words[2].lstrip('(')}"
            for words in map(str.split, said.splitlines())
            if words[:1] == ["Inst"]
        ]
        if not found:
            raise LabError(f"apt-get: nothing to install for {' '.join(names)} in {self.suite} at {self.mirror}")
        return found

    def unpack(self, packages: Sequence[str], folder: Path, progress: Progress) -> None:
        """Download `packages` (`name=version`), check them, and unpack them into `folder`."""
        cache = self.conf.parent / "packages"
        cache.mkdir()
        for at in range(0, len(packages), _BATCH):
            batch = packages[at : at + _BATCH]
            self._get("download", *batch, within=_DOWNLOAD_S, cwd=cache, remedy=_NEEDS_NETWORK)
            for file in sorted(cache.glob("*.deb")):
                output_of(["dpkg-deb", "--extract", file, folder], within=_ASK_S, remedy=_NEEDS_APT)
                file.unlink()
            progress(f"unpacked {at + len(batch)} of {len(packages)} packages")
        cache.rmdir()

    def _get(self, *arguments: str, within: float, cwd: Path | None = None, remedy: str = "") -> str:
        command = ["apt-get", "-c", str(self.conf), "-qq", *arguments]
        return output_of(command, within=within, cwd=cwd, remedy=remedy or _NEEDS_APT)


def open_apt(work: Path, suite: str, progress: Progress) -> Apt:
    """An apt below the empty folder `work` that knows the packages of `suite`. Raises LabError."""
    keyring = next((path for path in _KEYRINGS if path.exists()), None)
    if keyring is None:
        raise LabError(f"{_KEYRINGS[0]} is missing: install the package debian-archive-keyring")
    mirror = _mirror()
    conf = work / "apt.conf"
    architecture = output_of(["dpkg", "--print-architecture"], within=_ASK_S, remedy=_NEEDS_APT).strip()
    conf.write_text(_CONF.format(work=work, keyring=keyring, architecture=architecture))
    for name in ("lists/partial", "cache/archives/partial", "none"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={keyring} target=Packages] {mirror} {suite} main\n")
    apt = Apt(conf, mirror, suite)
    progress(f"package lists of {suite} from {mirror}")
    apt._get("update", "--error-on=any", within=_DOWNLOAD_S, remedy=_NEEDS_NETWORK)
    return apt


def _mirror() -> str:
    """The mirror that the host's apt has Debian itself from."""
    told = output_of(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(RELEASE)", "Created-By: Packages"],
        within=_ASK_S,
        remedy=_NEEDS_APT,
    )
    return choose_mirror(told, _codename())


def choose_mirror(targets: str, codename: str) -> str:
    """From lines of `mirror origin release`: the one with Debian's release `codename`.

    Before the host's first `apt-get update` nothing is known of origins and apt leaves the name of the field there.
    """
    for line in targets.splitlines():
        mirror, origin, release = line.split(" ", 2)
        if release == codename and origin in ("Debian", "$(ORIGIN)"):
            return mirror
    raise LabError(f"the host's apt sources name no Debian mirror for {codename or 'its release'}: add one for main")


def _codename() -> str:
    """The host's release, as os-release(5) says."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError as error:
        raise LabError(f"/etc/os-release: {error.strerror} ({_NEEDS_APT})") from None
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    return told.get("VERSION_CODENAME", "").strip('"')
