"""The papers' tables as data."""

from defocusctl.evaluation.table import published_rows


def test_rows_of_the_training_set_that_was_asked_for() -> None:
    rows = {(row.method, row.trained_on): row for row in published_rows("realdof", frozenset({"DPDD"}))}
    assert rows["INIKNet", "DPDD"].psnr == 25.231
    assert rows["NRKNet", "DPDD"].ssim == 0.768
    assert {trained_on for _, trained_on in rows} == {"DPDD"}


def test_all_rows_where_the_training_set_is_nobodys() -> None:
    rows = published_rows("rtf", frozenset({"rendered defocus"}))
    assert {row.trained_on for row in rows} == {"DPDD", "LFDOF"}


def test_no_rows_for_other_data() -> None:
    assert published_rows("pairs", frozenset({"DPDD"})) == ()


def test_figures_that_are_not_given_are_none() -> None:
    rows = {row.method: row for row in published_rows("dpdd", frozenset({"DPDD"}))}
    assert (rows["ConvIR-L"].psnr, rows["ConvIR-L"].lpips) == (26.36, None)
    assert rows["MBSD"].lpips == 0.106
    assert "LaKDNet-S" not in rows  # trained on LFDOF as well


def test_ablations_stand_beside_their_own_network_only() -> None:
    def names(models: set[str]) -> set[str]:
        rows = published_rows("rtf", frozenset({"DPDD"}), frozenset(models))
        return {row.method for row in rows if row.ablation_of}

    assert names(set()) == set()
    assert len(names({"iniknet"})) == 3
    assert "NRKNet w/o FDR" in names({"nrknet"})
    assert len(names({"iniknet", "nrknet"})) == 13
