"""Measure the shipped networks and write the report:  python -m export.evaluate [--quick] [--data FOLDER]

No image that is measured was used in training. The report is docs/evaluation/README.md with its tables (CSV, Markdown)
and plots. The cards of the networks get the figures of the same run. After an interruption the next run goes on where
the last one stopped.

--quick measures quality and recovery on few images and writes no comparison, no plots and no README.
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
from export.evaluation.run import Plan, Run
from gateway.seal.codec import Profile

__all__ = ["Item", "Row", "evaluation_items", "main", "measure"]

ALL = 1_000_000  # more than there are images of any kind


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=COLLECTION)
    parser.add_argument("--out", type=Path, default=Path("docs/evaluation"))
    parser.add_argument("--models", type=Path, default=Path("onnx_models"))
    parser.add_argument(
        "--work", type=Path, default=Path(".work/evaluate"), help="rows and trained baselines"
    )
    parser.add_argument(
        "--images", type=int, default=4, help="of every kind, in the recovery table of fidelity (default 4)"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=ALL,
        help="of every kind, in the tables of costs and in the recovery table of robust (default all)",
    )
    parser.add_argument("--quick", action="store_true", help="few images, only quality and recovery")
    parser.add_argument(
        "--keep-cards", action="store_true", help="leave the cards of the networks as they are"
    )
    arguments = parser.parse_args()
    run = Run(
        Plan(
            data=arguments.data,
            models=arguments.models,
            work=arguments.work,
            quality=2 if arguments.quick else arguments.most,
            recovery={
                Profile.FIDELITY: 1 if arguments.quick else arguments.images,
                Profile.ROBUST: 1 if arguments.quick else arguments.most,
            },
            comparison=1,
            task=2,
        )
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    costs = run.quality()
    write(arguments.out / "quality.csv", quality.Row, costs)
    survival = run.recovery()
    write(arguments.out / "recovery.csv", recovery.Row, survival)
    if not arguments.keep_cards and not arguments.quick:
        _fill_cards(arguments.models, costs)
        print("The cards changed: sign them with python -m export.sign.")
    if not arguments.quick:
        # needs PyTorch and Matplotlib, which --quick does without
        from export.evaluation import report

        report.write_all(run, costs, survival, arguments.out)
    print(tables.markdown(tables.cost(costs)))
    print(tables.markdown(tables.survival(survival)))


def _fill_cards(models: Path, rows: list[Row]) -> None:
    """Write the figures into the cards of the networks that were measured; the cards of others keep theirs."""
    measured = {row.codec_id for row in rows}
    lines = tables.cost(rows)
    for card_path in sorted(models.glob("*.json")):
        card = json.loads(card_path.read_text())
        if card["codec_id"] in measured:
            card["measured"]["evaluation"] = [line for line in lines if line["profile"] == card["profile"]]
            card_path.write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
