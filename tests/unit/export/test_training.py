"""Training and export of networks, on small synthetic images. Needs the extra `train`."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from torch import Tensor  # noqa: E402  after the check for PyTorch

from export import distort  # noqa: E402
from export import train as training_module  # noqa: E402
from export.data import split, training_items  # noqa: E402
from export.model import BITS, PIXELS, build, dct_patterns, synthesis  # noqa: E402
from export.to_onnx import export, main, relayout  # noqa: E402
from export.train import COLUMNS, Chance, Source, Training, train, usable  # noqa: E402
from gateway.seal.codec.synthesis import PATTERNS, scale_of, synthesised  # noqa: E402

STEPS = 30


class Begin(Protocol):
    """Begins the training of `profile` in the folder `name`; `changed` are options of `Training`."""

    def __call__(self, name: str, profile: str = "robust", **changed: int) -> Training: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight subjects: smooth images with noise, and a manifest."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    rows = [("path", "sha256", "source_repo", "licence", "note")]
    place = np.arange(64) / 64
    for number in range(8):
        waves = 60 * np.sin(9 * place[:, None] * rng.random() + 7 * place * rng.random())
        pixels = np.clip(128 + waves + rng.normal(0, 4, (64, 64)), 0, 255).astype(np.uint8)
        path = folder / "images" / "train" / "waves" / f"made__{number}_1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append((str(path.relative_to(folder)), digest, "made here", "MIT", "use=train"))
    with (folder / "MANIFEST.tsv").open("w", newline="") as table:
        csv.writer(table, delimiter="\t").writerows(rows)
    return folder


@pytest.fixture
def begin(data: Path, tmp_path: Path) -> Begin:
    def begin(name: str, profile: str = "robust", **changed: int) -> Training:
        (tmp_path / name).mkdir(exist_ok=True)
        return Training(profile, data, tmp_path / name, **{"steps": STEPS, "seed": 1, **changed})

    return begin


def parameters(training: Training) -> dict[str, Tensor]:
    state: dict[str, Tensor] = training.both.state_dict()
    return state


@pytest.mark.parametrize("profile", ["robust", "fidelity"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(begin: Begin, profile: str) -> None:
    whole = begin("whole", profile)
    train(whole)
    first = begin("parts", profile)
    for _ in range(STEPS // 2):
        first.step()
    first.save()
    second = begin("parts", profile)
    train(second)
    assert second.done == STEPS
    untrained = parameters(begin("untrained", profile))
    assert any(not torch.equal(value, untrained[name]) for name, value in parameters(whole).items())
    assert all(torch.equal(value, parameters(second)[name]) for name, value in parameters(whole).items())


def test_another_seed_gives_other_parameters(begin: Begin) -> None:
    runs = [begin(f"seed{seed}", seed=seed) for seed in (1, 2)]
    for run in runs:
        train(run)
    assert not torch.equal(runs[0].revealer.gain, runs[1].revealer.gain)


def test_a_checkpoint_of_another_plan_is_refused(begin: Begin) -> None:
    begin("run").save()
    with pytest.raises(ValueError, match="belongs to"):
        begin("run", steps=STEPS + 1).resume()


def test_curves_never_tell_a_step_twice(begin: Begin) -> None:
    run = begin("run")
    run.trim_log()
    for done in (10, 20, 30):
        run.done = done
        run.log(dict.fromkeys(COLUMNS[1:], 0.5))
    run.done = 20
    run.trim_log()
    with run.curves.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row[0] for row in rows[1:]] == ["10", "20"]


def test_subjects_are_held_out_whole(data: Path) -> None:
    items = training_items(data)
    kept, held_out = split(items)
    assert len(held_out) == 1
    assert sorted(i.path for i in kept + held_out) == sorted(i.path for i in items)


def test_a_single_subject_can_not_be_split(data: Path) -> None:
    with pytest.raises(ValueError, match="two subjects"):
        split(training_items(data)[:1])


def test_batches_fill_groups_one_after_the_other_and_touch_writable_cells_only(data: Path) -> None:
    source = Source(data, "robust")
    for step in range(40):
        batch = source.draw(Chance(1, step))
        groups = (batch.secret != 0).reshape(-1, 4, 4)
        assert (groups.all(dim=2) == groups.any(dim=2)).all()
        filled = groups.any(dim=2).int()
        assert (filled.diff(dim=1) <= 0).all()
        writable = usable(batch.cells, batch.unit, batch.low, batch.high, margin=3.0, deviation=0.0)
        assert not filled[~writable].any()


def test_every_distortion_keeps_shape_and_is_drawn(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(data, "robust")
    drawn: set[str] = set()

    def noted(name: str, distortion: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def apply(*arguments: Tensor) -> Tensor:
            drawn.add(name)
            return distortion(*arguments)

        return apply

    for name in ("noise", "near_lossless", "jpeg"):
        monkeypatch.setattr(distort, name, noted(name, getattr(distort, name)))
    for step in range(40):
        chance = Chance(1, step)
        batch = source.draw(chance)
        seen = training_module.distorted(batch.cells, batch, chance)[0]
        assert seen.shape == batch.cells.shape
    assert drawn == {"noise", "near_lossless", "jpeg"}


def test_the_gradient_reaches_the_hider_through_rounding_and_distortion(begin: Begin) -> None:
    run = begin("run")
    for step in range(60):  # enough that every group is written
        chance = Chance(1, step)
        loss, _ = run.loss(run.hider, run.revealer, run.source.draw(chance), chance)
        loss.backward()
    assert run.hider.slack[-1].bias.grad.abs().min() > 0
    assert run.revealer.refine[-1].weight.grad.abs().max() > 0


@pytest.mark.parametrize("unit", [1.0, 1.5, 8.0])
def test_synthesis_in_training_is_that_of_the_gateway_but_for_ties(unit: float) -> None:
    rng = np.random.default_rng(5)
    amplitudes = rng.integers(-40, 41, (2000, BITS)) * (rng.random((2000, BITS)) < 0.4)
    room = torch.full((2000, PIXELS), 1e4)
    trained = synthesis(torch.from_numpy(amplitudes).float(), torch.tensor([unit]), room, room).numpy()
    integers = synthesised(amplitudes.astype(np.int32), scale_of(unit))
    assert np.abs(trained - integers).max() <= 1
    assert (trained != integers).mean() < 0.03 * unit


def test_synthesis_stays_within_the_room_of_each_pixel() -> None:
    amplitudes = torch.full((1, BITS), 30.0)
    up, down = torch.full((1, PIXELS), 2.0), torch.full((1, PIXELS), 1.0)
    change = synthesis(amplitudes, torch.ones(1), up, down)
    assert change.min() == -1
    assert change.max() == 2


def test_patterns_are_orthonormal_without_mean_and_those_of_the_gateway() -> None:
    patterns = dct_patterns().numpy()
    assert np.allclose(patterns @ patterns.T, np.eye(BITS), atol=1e-6)
    assert np.allclose(patterns.sum(axis=1), 0, atol=1e-6)
    assert np.abs(patterns * 2**12 - PATTERNS).max() <= 1


@pytest.mark.parametrize("profile", ["robust", "fidelity"])
def test_an_export_agrees_with_pytorch_and_its_card_with_its_files(
    begin: Begin, data: Path, tmp_path: Path, profile: str
) -> None:
    run = begin("run", profile)
    train(run)
    out = tmp_path / "models"
    out.mkdir()
    card = export(profile, 9, tmp_path / "run", data, out)
    assert sorted(path.name for path in out.iterdir()) == [
        f"{profile}-v9-hide.onnx",
        f"{profile}-v9-reveal.onnx",
        f"{profile}-v9.json",
    ]
    assert json.loads((out / f"{profile}-v9.json").read_text()) == card
    for part in ("hide", "reveal"):
        assert hashlib.sha256((out / card[part]["file"]).read_bytes()).hexdigest() == card[part]["sha256"]
    assert card["measured"]["parity_pixels_unlike"] <= 1e-3
    assert card["measured"]["parity_logits_max_difference"] <= 1e-2
    assert card["training"]["images"] == 7
    assert card["training"]["images_held_out"] == 1


def test_a_relayout_keeps_the_networks_and_checks_them(begin: Begin, data: Path, tmp_path: Path) -> None:
    train(begin("run", "fidelity"))
    out = tmp_path / "models"
    out.mkdir()
    old = export("fidelity", 8, tmp_path / "run", data, out)
    new = relayout("fidelity", 9, "fidelity-v8", out)
    assert (new["hide"], new["reveal"], new["measured"]) == (old["hide"], old["reveal"], old["measured"])
    assert json.loads((out / "fidelity-v9.json").read_text()) == new
    (out / old["hide"]["file"]).write_bytes(b"?")
    with pytest.raises(SystemExit, match="differs from its card"):
        relayout("fidelity", 10, "fidelity-v8", out)


def test_a_released_name_is_never_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "robust-v2.json").write_text("{}")
    monkeypatch.setattr(
        "sys.argv", ["to_onnx", "--profile", "robust", "--model-version", "2", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit):
        main()
    assert "never written again" in capsys.readouterr().err
    assert (tmp_path / "robust-v2.json").read_text() == "{}"


def test_untrained_networks_of_robust_work_already() -> None:
    hider, revealer = build("robust")
    rng = np.random.default_rng(2)
    cells = torch.from_numpy(rng.normal(128, 30, (500, PIXELS)).round()).float()
    secret = torch.from_numpy(rng.choice([-1.0, 1.0], (500, BITS))).float()
    room, unit = torch.full_like(cells, 100), torch.ones(1)
    with torch.no_grad():
        container = cells + synthesis(hider(cells, secret, room, room, unit), unit, room, room)
        assert (revealer(container, unit).sign() == secret).all()
