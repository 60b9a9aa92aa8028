"""The figures of the paper's Tables 1 to 5 in percent, typed in from its text.

The text gives Table 2 column by column for WRN-28-10, and without the names of its four blocks:
those were told apart by Table 1 (DenseNet, CIFAR-100, TINr: 71.6, 90.7, 96.3, 99.6) and the order
of the rows. Two things are as printed and cannot both be right: Table 1 gives ELOC an AUROC of
96.3 where Table 2 has 96.2, and ODIN's detection error of 24.5 on DenseNet, CIFAR-100 and LSUNr is
above (5 + 43.2) / 2, the most that its FPR allows.
"""

from __future__ import annotations

METRICS = ("fpr95_id_positive", "detection_error", "auroc", "aupr_in", "aupr_out")
METHODS = ("odin", "eloc", "ours")

Figures = dict[str, float]

# Each line: network, ID, OOD; then ODIN, ELOC and the paper's method for every metric in turn.
_TABLES_2_AND_5 = """
densenet-bc-100-12 cifar10 TINc  3.6 1.5 0.1  4.2 3.0 0.7  99.2 99.6 99.9  99.2 99.6 100.0  99.2 99.6 99.9
densenet-bc-100-12 cifar10 TINr  10.1 3.2 1.7  6.9 4.0 2.3  98.2 99.3 99.6  98.3 99.3 99.6  98.1 99.2 99.6
densenet-bc-100-12 cifar10 LSUNc  6.0 3.4 0.2  5.3 4.1 0.7  98.7 99.3 99.9  98.7 99.3 99.9  98.6 99.3 99.9
densenet-bc-100-12 cifar10 LSUNr  3.5 1.4 0.4  4.2 2.7 1.1  99.2 99.6 99.9  99.3 99.6 99.9  99.2 99.6 99.9
densenet-bc-100-12 cifar10 iSUN  5.9 - 0.6  5.3 - 1.3  98.9 - 99.9  99.0 - 99.9  98.9 - 99.9
densenet-bc-100-12 cifar100 TINc  20.6 8.8 0.2  10.2 6.6 0.7  96.4 98.3 99.9  96.7 98.4 99.9  96.1 98.3 99.9
densenet-bc-100-12 cifar100 TINr  43.1 20.6 1.9  17.2 10.2 2.0  90.7 96.2 99.6  91.0 96.5 99.6  89.8 96.0 99.7
densenet-bc-100-12 cifar100 LSUNc  21.9 16.2 0.3  10.1 9.3 0.6  95.9 97.0 99.9  96.4 97.3 99.9  96.0 96.8 99.9
densenet-bc-100-12 cifar100 LSUNr  43.2 13.1 0.4  24.5 7.7 0.6  91.0 97.6 99.9  91.5 97.9 99.9  89.8 97.3 99.9
densenet-bc-100-12 cifar100 iSUN  45.4 - 1.3  17.2 - 1.6  90.5 - 99.7  90.9 - 99.6  89.1 - 99.7
wrn-28-10 cifar10 TINc  16.6 1.5 0.2  8.9 3.0 0.6  96.9 99.6 100.0  97.3 99.6 100.0  96.5 99.6 100.0
wrn-28-10 cifar10 TINr  6.1 5.5 0.8  5.5 5.1 1.8  98.8 98.9 99.7  98.9 99.0 99.7  98.8 98.8 99.7
wrn-28-10 cifar10 LSUNc  20.3 1.6 0.0  9.6 3.0 0.2  96.4 99.6 100.0  96.9 99.6 100.0  95.8 99.5 100.0
wrn-28-10 cifar10 LSUNr  4.6 0.9 0.4  4.7 2.5 1.7  99.0 99.7 99.8  99.1 99.7 99.8  99.0 99.7 99.8
wrn-28-10 cifar10 iSUN  3.7 - 0.3  4.3 - 1.1  99.2 - 99.9  99.3 - 99.9  99.2 - 99.9
wrn-28-10 cifar100 TINc  33.3 8.6 0.6  13.4 6.3 1.6  93.9 98.5 99.8  94.6 98.6 99.7  92.8 98.4 99.8
wrn-28-10 cifar100 TINr  35.8 18.9 1.6  15.4 9.1 2.3  92.7 96.8 99.6  93.2 97.1 99.5  92.2 96.4 99.6
wrn-28-10 cifar100 LSUNc  34.9 25.1 0.5  15.5 10.6 1.4  92.7 96.0 99.8  93.1 96.5 99.8  92.5 95.5 99.8
wrn-28-10 cifar100 LSUNr  34.9 12.8 0.6  14.9 7.4 1.4  93.1 97.6 99.7  93.6 97.8 99.6  92.8 97.4 99.8
wrn-28-10 cifar100 iSUN  34.1 - 0.9  14.6 - 1.4  93.3 - 99.6  93.9 - 99.5  92.5 - 99.7
densenet-bc-100-12 food101 TINc  48.2 36.7 0.1  22.4 16.5 0.2  85.3 91.5 100.0  92.2 91.3 100.0  76.1 91.9 100.0
densenet-bc-100-12 food101 LSUNc  30.6 15.9 0.1  16.2 10.1 0.2  90.9 96.3 100.0  95.0 95.7 100.0  86.0 96.8 100.0
densenet-bc-100-12 fashion TINc  57.7 6.1 0.4  21.3 5.2 1.1  86.4 98.7 99.9  95.9 98.9 100.0  62.5 98.5 99.7
densenet-bc-100-12 fashion LSUNc  35.8 3.6 0.2  14.8 4.2 0.7  92.9 99.1 99.9  98.0 99.3 100.0  78.9 99.0 99.8
"""  # noqa: E501

ABLATION_ID, TABLE_3_OOD = "cifar100", "TINc"
"""Of Tables 3 and 4. Their network is not named; Table 3 begins with DenseNet's 0.7 of Table 2."""

# ID images, OOD images; detection error; mean discrepancy (Eq. 1) of ID and of OOD test images.
_TABLE_3 = """
9000 9000  0.7  0.05 3.08
5000 5000  0.5  0.06 3.05
2000 2000  0.9  0.08 2.84
1000 1000  1.5  0.05 2.68
9000 2000  0.3  0.62 4.03
5000 2000  0.4  0.26 3.90
9000 1000  1.2  1.05 3.93
9000 500  3.8  1.08 3.40
"""

# OOD sets fine-tuned on, OOD sets tested; the same figures.
_TABLE_4 = """
TINc+LSUNc TINc+LSUNc  0.2  0.03 3.53
TINc LSUNc  0.5  0.05 3.20
LSUNc TINc  0.7  0.04 2.39
"""

BASELINE_AUROC = {("densenet-bc-100-12", "cifar100", "TINr"): 71.6}
"""Maximum softmax probability (Hendrycks & Gimpel), of which Table 1 has one figure."""


def detection(backbone: str, id_name: str, ood: str, method: str) -> Figures:
    """Tables 2 and 5 (Table 1 for "msp"): metric -> percent; empty where there is no figure."""
    if method == "msp":
        known = BASELINE_AUROC.get((backbone, id_name, ood))
        return {} if known is None else {"auroc": known}
    line = _detection().get((backbone, id_name, ood))
    if line is None or method not in METHODS:
        return {}
    column = METHODS.index(method)
    cells = zip(METRICS, line[column :: len(METHODS)], strict=True)
    return {metric: float(cell) for metric, cell in cells if cell != "-"}


def amounts() -> dict[tuple[int, int], Figures]:
    """Table 3, by the ID and OOD images in the unlabeled set, in the paper's order."""
    lines = (line.split() for line in _TABLE_3.split("\n") if line)
    return {(int(ours), int(strange)): _ablation(cells) for ours, strange, *cells in lines}


def selections() -> dict[tuple[str, str], Figures]:
    """Table 4, by the OOD sets fine-tuned on and those tested."""
    lines = (line.split() for line in _TABLE_4.split("\n") if line)
    return {(tuned, tested): _ablation(cells) for tuned, tested, *cells in lines}


def _ablation(cells: list[str]) -> Figures:
    names = ("detection_error", "id_discrepancy", "ood_discrepancy")
    return dict(zip(names, map(float, cells), strict=True))


def _detection() -> dict[tuple[str, str, str], list[str]]:
    lines = (line.split() for line in _TABLES_2_AND_5.split("\n") if line)
    return {(backbone, name, ood): cells for backbone, name, ood, *cells in lines}
