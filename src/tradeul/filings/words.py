"""Forms and 8-K items in words, which forms may dilute, and whose tickers a filing concerns. Pure.

Sources: the SEC's list of forms (www.sec.gov/forms) and Form 8-K's general
instructions. A form or item that is not here has no words: nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tradeul.records.filings import Filing, FilingEntry, Item

AMENDMENT = "/A"
# Registrations of new shares, their effectiveness, and sales off a shelf; with the variants that take effect at once or add to an offering.
DILUTING = frozenset({"S-1", "S-1MEF", "S-3", "S-3ASR", "S-3MEF", "F-3", "F-3ASR", "F-3MEF", "424B5", "EFFECT"})
# Who only tells of somebody else's issue: its own tickers are not what the filing is about.
TELLERS = frozenset({"Reporting", "Filed by"})

FORMS = {
    "1-A": "Offering statement, Regulation A",
    "10-K": "Annual report",
    "10-KT": "Annual report, transition period",
    "10-Q": "Quarterly report",
    "11-K": "Annual report of an employee stock plan",
    "13F-HR": "Holdings of an institution",
    "13F-NT": "Holdings of an institution: reported by another",
    "144": "Notice of a proposed sale by an insider",
    "15-12G": "End of registration",
    "15-15D": "End of the duty to report",
    "20-F": "Annual report of a foreign company",
    "25": "Removal from listing",
    "25-NSE": "Removal from listing, by the exchange",
    "3": "First statement of an insider's holdings",
    "4": "Change in an insider's holdings",
    "40-F": "Annual report of a Canadian company",
    "424B1": "Prospectus",
    "424B2": "Prospectus supplement off a shelf",
    "424B3": "Prospectus supplement",
    "424B4": "Prospectus with the price",
    "424B5": "Prospectus supplement: an offering off a shelf",
    "424B7": "Prospectus supplement: sale by holders",
    "425": "Communication about a merger",
    "497": "Prospectus of a fund",
    "497K": "Summary prospectus of a fund",
    "5": "Annual statement of an insider's changes",
    "6-K": "Report of a foreign company",
    "8-A12B": "Registration for listing on an exchange",
    "8-K": "Current report",
    "8-K12B": "Current report of a successor company",
    "ARS": "Annual report to shareholders",
    "CORRESP": "Letter to the SEC",
    "D": "Exempt offering of securities",
    "DEF 14A": "Proxy statement",
    "DEFA14A": "Additional proxy material",
    "DEFM14A": "Proxy statement about a merger",
    "DRS": "Draft registration statement",
    "EFFECT": "A registration takes effect",
    "F-1": "Registration of a foreign company's shares",
    "F-3": "Shelf registration of a foreign company",
    "F-3ASR": "Shelf registration of a foreign company, effective at once",
    "F-3MEF": "Registration of more shares off a foreign company's shelf",
    "F-4": "Registration of a foreign company's shares in an exchange or merger",
    "FWP": "Free writing prospectus",
    "N-CEN": "Annual report of a fund",
    "NT 10-K": "Notice: the annual report will be late",
    "NT 10-Q": "Notice: the quarterly report will be late",
    "PRE 14A": "Preliminary proxy statement",
    "PREM14A": "Preliminary proxy statement about a merger",
    "RW": "Withdrawal of a registration",
    "S-1": "Registration of shares",
    "S-1MEF": "Registration of more shares of an offering",
    "S-11": "Registration of a real-estate company's shares",
    "S-3": "Shelf registration",
    "S-3ASR": "Shelf registration, effective at once",
    "S-3MEF": "Registration of more shares off a shelf",
    "S-4": "Registration of shares in an exchange or merger",
    "S-8": "Shares for an employee plan",
    "SC 13D": "Stake above 5 %, active holder",
    "SC 13G": "Stake above 5 %, passive holder",
    "SC TO-I": "Tender offer by the issuer",
    "SC TO-T": "Tender offer by a third party",
    "SCHEDULE 13D": "Stake above 5 %, active holder",
    "SCHEDULE 13G": "Stake above 5 %, passive holder",
    "UPLOAD": "Letter from the SEC",
}
ITEMS = {
    "1.01": "Entry into a material agreement",
    "1.02": "End of a material agreement",
    "1.03": "Bankruptcy or receivership",
    "1.04": "Mine safety",
    "1.05": "Material cybersecurity incident",
    "2.01": "Acquisition or disposition completed",
    "2.02": "Results of operations",
    "2.03": "New direct financial obligation",
    "2.04": "Event that accelerates an obligation",
    "2.05": "Costs of exit or disposal",
    "2.06": "Material impairments",
    "3.01": "Notice of delisting or of a failed listing rule",
    "3.02": "Unregistered sale of equity",
    "3.03": "Change of holders' rights",
    "4.01": "Change of accountant",
    "4.02": "Earlier financial statements are not to be relied on",
    "5.01": "Change of control",
    "5.02": "Directors or officers come or go",
    "5.03": "Change of charter, bylaws or fiscal year",
    "5.04": "Trading in employee plans suspended",
    "5.05": "Change of the code of ethics",
    "5.06": "Change in shell company status",
    "5.07": "Votes of shareholders",
    "5.08": "Nominations by shareholders",
    "6.01": "Asset-backed securities: terms",
    "6.02": "Asset-backed securities: change of servicer or trustee",
    "6.03": "Asset-backed securities: change of credit support",
    "6.04": "Asset-backed securities: a distribution failed",
    "6.05": "Asset-backed securities: update",
    "7.01": "Regulation FD disclosure",
    "8.01": "Other events",
    "9.01": "Financial statements and exhibits",
}


def described(entry: FilingEntry, seen_at: datetime, tickers_of: Mapping[str, Sequence[str]]) -> Filing:
    """What we tell of a filing. ``tickers_of``: those of a CIK."""
    base = entry.form.removesuffix(AMENDMENT)
    companies = dict.fromkeys(filer.cik for filer in entry.filers if filer.role not in TELLERS)
    return Filing(
        entry.accession,
        entry.form,
        FORMS.get(base),
        entry.form != base,
        base in DILUTING,
        entry.filed,
        entry.accepted_at,
        seen_at,
        tuple(dict.fromkeys(symbol for cik in companies for symbol in tickers_of.get(cik, ()))),
        entry.filers,
        tuple(Item(code, ITEMS.get(code) if base.startswith("8-K") else None) for code in entry.items),
        entry.url,
    )
