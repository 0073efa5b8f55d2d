"""Which packages the lab's Asterisk is made of, and what is kept of them."""

import re
from pathlib import Path
from typing import Final

from voiceagent.lab.debian import Recipe

#: Templates of the configuration; `@NAME@` is filled in when an Asterisk starts.
TEMPLATES: Final = Path(__file__).parent / "conf"
SERVER: Final = "usr/sbin/asterisk"

#: What these modules load. `asterisk-modules` depends on much more: databases, sound cards, LDAP.
_SUFFICIENT: Final = (
    r"asterisk|asterisk-modules|asterisk-core-sounds-en-gsm|zlib1g|lib(c6|gcc-s1|stdc\+\+6|crypt1|ssl[0-9].*|edit[0-9].*"
    r"|bsd0|md0|tinfo6|jansson.*|xml2.*|xslt1.*|sqlite3-0|uuid1|systemd0|cap2|uriparser1|zstd1|lzma5|lz4-1|gsm1"
    r"|unistring.*|idn2-0)"
)
_PROMPTS: Final = ("beep", "demo-congrats", "hello-world", "vm-goodbye", "vm-nobodyavail", "digits/*", "silence/1")


def asterisk_recipe() -> Recipe:
    """As many modules as `modules.conf` loads."""
    modules = re.findall(r"^load = (\S+)", (TEMPLATES / "modules.conf").read_text(), re.MULTILINE)
    return Recipe(
        name="asterisk",
        packages=("asterisk", "asterisk-modules", "asterisk-core-sounds-en-gsm"),
        sufficient=_SUFFICIENT,
        programs=(SERVER, *(f"usr/lib/*/asterisk/modules/{module}" for module in modules)),
        files=(
            "usr/share/asterisk/documentation/core-en_US.xml",  # configuration objects are defined in it
            "usr/share/asterisk/documentation/appdocsxml.*",
            "usr/share/asterisk/rest-api/*",  # served as /ari/api-docs
            *(f"usr/share/asterisk/sounds/en_US_f_Allison/{prompt}.gsm" for prompt in _PROMPTS),
            "usr/lib/*/libnss_files*",
        ),
        links=(("usr/share/asterisk/sounds/en", "en_US_f_Allison"),),
    )
