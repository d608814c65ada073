import csv

import pytest

from tradeul.analytics.sectors import DIVISIONS, sector_of


@pytest.mark.parametrize(
    ("code", "sector"),
    [
        ("0100", "Agriculture"),
        ("100", "Agriculture"),
        ("0999", "Agriculture"),
        ("1000", "Mining"),
        ("1311", "Mining"),
        ("1531", "Construction"),
        ("3571", "Manufacturing"),
        ("4911", "Transportation and Utilities"),
        ("5122", "Wholesale Trade"),
        ("5961", "Retail Trade"),
        ("6770", "Finance"),
        ("7372", "Services"),
        ("8731", "Services"),
        ("9721", "Public Administration"),
    ],
)
def test_a_code_has_the_sector_of_its_division(code, sector):
    assert sector_of(code) == sector


@pytest.mark.parametrize("code", [None, "", "12", "35711", "35x1", "\u0663\u0665\u0667\u0661", "1800", "6899", "9000", "9995", "0000"])
def test_what_is_in_no_division_has_no_sector(code):
    assert sector_of(code) is None


def test_the_divisions_follow_each_other():
    edges = [edge for first, last, _ in DIVISIONS for edge in (first, last)]
    assert edges == sorted(edges)


def test_every_real_code_has_a_sector(shared_data):
    with (shared_data / "polygon" / "ticker_details_v3.csv").open() as file:
        codes = {row["sic_code"].removesuffix(".0") for row in csv.DictReader(file)} - {""}
    assert len(codes) > 100
    assert {code for code in codes if sector_of(code) is None} <= {"9995"}
