"""Measure the shipped networks and write the report:  python -m export.evaluate [--quick] [--data FOLDER]

Every image was kept from training. The report is docs/evaluation/README.md with its tables (CSV, Markdown) and plots;
the cards of the networks get the figures of the same run. Interrupted, it goes on where it stopped.

--quick measures quality and recovery on few images and writes no comparison, plots or README.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from export.data import COLLECTION, Item
from export.evaluation import quality, recovery, tables
from export.evaluation.images import evaluation_items
from export.evaluation.ledger import write
from export.evaluation.quality import Row, measure
from export.evaluation.run import Run, Wish
from gateway.seal.codec import Profile

__all__ = ["Item", "Row", "evaluation_items", "main", "measure"]

ALL = 1_000_000


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, default=COLLECTION)
    options.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    options.add_argument("--models", type=Path, default=Path("onnx_models"))
    options.add_argument(
        "--work", type=Path, default=Path(".work/evaluate"), help="rows and trained baselines"
    )
    options.add_argument(
        "--images", type=int, default=4, help="of every kind, in the recovery table of fidelity (default 4)"
    )
    options.add_argument(
        "--most",
        type=int,
        default=ALL,
        help="of every kind, in the tables of costs and in the recovery table of robust (default all)",
    )
    options.add_argument("--quick", action="store_true", help="few images, only quality and recovery")
    options.add_argument(
        "--keep-cards", action="store_true", help="leave the cards of the networks as they are"
    )
    asked = options.parse_args()
    run = Run(
        Wish(
            data=asked.data,
            models=asked.models,
            work=asked.work,
            quality=2 if asked.quick else asked.most,
            recovery={
                Profile.FIDELITY: 1 if asked.quick else asked.images,
                Profile.ROBUST: 1 if asked.quick else asked.most,
            },
            comparison=1,
            task=2,
        )
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    cost = run.quality()
    write(asked.out / "quality.csv", quality.Row, cost)
    survival = run.recovery()
    write(asked.out / "recovery.csv", recovery.Row, survival)
    if not asked.keep_cards and not asked.quick:
        _fill_cards(asked.models, cost)
        print("The cards changed: sign them with python -m export.sign.")
    if not asked.quick:
        from export.evaluation import report

        report.write_all(run, cost, survival, asked.out)
    print(tables.markdown(tables.cost(cost)))
    print(tables.markdown(tables.survival(survival)))


def _fill_cards(models: Path, rows: list[Row]) -> None:
    """Only the cards of what was measured: those of earlier versions keep their figures."""
    written = {row.codec_id for row in rows}
    lines = tables.cost(rows)
    for card_path in sorted(models.glob("*.json")):
        card = json.loads(card_path.read_text())
        if card["codec_id"] in written:
            card["measured"]["evaluation"] = [line for line in lines if line["profile"] == card["profile"]]
            card_path.write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
