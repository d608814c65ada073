"""A company's sector: the division that its SIC code falls in.

Source: the divisions A to J of the Standard Industrial Classification (1987),
https://www.osha.gov/data/sic-manual; the SEC files companies by the same
codes. Names are shortened. These are not the sectors of GICS, which are licensed.
"""

# Major groups (the first two digits), first and last, as the manual has them; 99, what cannot be classified, is no sector.
DIVISIONS = (
    (1, 9, "Agriculture"),
    (10, 14, "Mining"),
    (15, 17, "Construction"),
    (20, 39, "Manufacturing"),
    (40, 49, "Transportation and Utilities"),
    (50, 51, "Wholesale Trade"),
    (52, 59, "Retail Trade"),
    (60, 67, "Finance"),
    (70, 89, "Services"),
    (91, 97, "Public Administration"),
)


def sector_of(sic_code: str | None) -> str | None:
    """None for what is no code of four digits, and for codes outside every division."""
    if sic_code is None or len(sic_code) not in (3, 4) or not (sic_code.isascii() and sic_code.isdigit()):
        return None
    group = int(sic_code) // 100  # "100" is 0100: some sources drop the leading zero
    return next((name for first, last, name in DIVISIONS if first <= group <= last), None)
