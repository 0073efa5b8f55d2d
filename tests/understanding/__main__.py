"""`python -m tests.understanding [--set judging|tuning] [--json] [--notes]`: exit 1 when a bar is missed."""

import argparse
import json
import sys

import trio
from attrs import asdict

from tests.understanding import judging, tuning
from tests.understanding.measure import Result, Share, measure

#: condition -> least percentage of errands that reach their goal, most of out-of-domain utterances acted upon
BARS = {None: (85.0, 5.0), 20.0: (75.0, 12.0)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.understanding", description=__doc__)
    parser.add_argument("--set", choices=("judging", "tuning"), default="judging", help="which material")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    parser.add_argument("--notes", action="store_true", help="also print what went wrong")
    given = parser.parse_args()
    material = judging.MATERIAL if given.set == "judging" else tuning.MATERIAL
    results = {snr: trio.run(measure, material, snr) for snr in BARS}
    met = all(
        result.errands.percent >= BARS[snr][0] and result.acted_upon.percent <= BARS[snr][1]
        for snr, result in results.items()
    )
    if given.json:
        sys.stdout.write(json.dumps({"met": met, "results": [asdict(each) for each in results.values()]}, indent=1))
    else:
        _print_table(results)
        sys.stdout.write("every bar is met\n" if met else "a bar is missed\n")
        if given.notes:
            for result in results.values():
                for note in (*result.errands.notes, *result.acted_upon.notes):
                    sys.stdout.write(f"\n{result.condition}\n{note}\n")
    return 0 if met else 1


def _print_table(results: dict[float | None, Result]) -> None:
    rows = (
        ("dialogues that reach their goal", "errands", "at least", 0),
        ("out-of-domain utterances acted upon", "acted_upon", "at most", 1),
        ("unseen paraphrases understood at once", "paraphrases", "", 0),
        ("unseen paraphrases misunderstood", "paraphrases_wrong", "", 0),
    )
    for snr, result in results.items():
        for title, name, word, column in rows:
            share: Share = getattr(result, name)
            bar = f"  ({word} {BARS[snr][column]:g} %)" if word else ""
            sys.stdout.write(
                f"{result.condition:>10}  {title:<38} {share.hits:>4} of {share.total:<4} {share.percent:5.1f} %{bar}\n"
            )


if __name__ == "__main__":
    sys.exit(main())
