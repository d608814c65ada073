"""The words that fictional companies and funds are named with. Nothing but words."""

STEM_STARTS = [
    "Nor", "Val", "Cor", "Aer", "Bly", "Ster", "Hal", "Mer", "Quan", "Ori", "Pel", "Kes", "Tor", "Lum", "Ash", "Bri", "Cal", "Den", "Elm",
    "Fen", "Gal", "Har", "Ing", "Jun", "Kel", "Lar", "Mon", "Nim", "Ox", "Par", "Rav", "Sol", "Tal", "Umb", "Ver", "Wex", "Yar", "Ard",
    "Bel", "Ced", "Dra", "Eck", "Far", "Gor", "Hex", "Ivo", "Jas", "Kor", "Lin", "Myr", "Nov", "Opal", "Pry", "Rho", "Syl", "Tyr", "Und",
    "Vex", "Wil", "Xan", "Yel", "Adel", "Bor", "Cy", "Dor", "Eon",
]  # fmt: skip
STEM_ENDS = [
    "vale", "stone", "mark", "dyne", "wick", "thorn", "field", "gate", "well", "ford", "mere", "ridge", "brook", "haven", "crest", "point",
    "land", "shire", "wood", "fall", "moor", "quist", "ton", "bury", "nix", "vant", "lex", "tera", "core", "ium", "ora", "eon", "is", "ara",
    "ley", "man", "den", "sen", "via", "xis",
]  # fmt: skip
BUSINESSES = [
    ("Therapeutics", "2834", "PHARMACEUTICAL PREPARATIONS"),
    ("Biosciences", "2836", "BIOLOGICAL PRODUCTS (NO DIAGNOSTIC SUBSTANCES)"),
    ("Pharma", "2834", "PHARMACEUTICAL PREPARATIONS"),
    ("Oncology", "2834", "PHARMACEUTICAL PREPARATIONS"),
    ("Genomics", "8731", "SERVICES-COMMERCIAL PHYSICAL & BIOLOGICAL RESEARCH"),
    ("Medical", "3841", "SURGICAL & MEDICAL INSTRUMENTS & APPARATUS"),
    ("Diagnostics", "2835", "IN VITRO & IN VIVO DIAGNOSTIC SUBSTANCES"),
    ("Health", "8000", "SERVICES-HEALTH SERVICES"),
    ("Software", "7372", "SERVICES-PREPACKAGED SOFTWARE"),
    ("Systems", "7373", "SERVICES-COMPUTER INTEGRATED SYSTEMS DESIGN"),
    ("Networks", "3576", "COMPUTER COMMUNICATIONS EQUIPMENT"),
    ("Semiconductor", "3674", "SEMICONDUCTORS & RELATED DEVICES"),
    ("Photonics", "3674", "SEMICONDUCTORS & RELATED DEVICES"),
    ("Robotics", "3569", "GENERAL INDUSTRIAL MACHINERY & EQUIPMENT, NEC"),
    ("Quantum", "3570", "COMPUTER & OFFICE EQUIPMENT"),
    ("Aerospace", "3721", "AIRCRAFT"),
    ("Energy", "1311", "CRUDE PETROLEUM & NATURAL GAS"),
    ("Petroleum", "2911", "PETROLEUM REFINING"),
    ("Solar", "3433", "HEATING EQUIPMENT"),
    ("Mining", "1040", "GOLD AND SILVER ORES"),
    ("Lithium", "1000", "METAL MINING"),
    ("Resources", "1400", "MINING & QUARRYING OF NONMETALLIC MINERALS"),
    ("Bancorp", "6022", "STATE COMMERCIAL BANKS"),
    ("Financial", "6199", "FINANCE SERVICES"),
    ("Insurance", "6331", "FIRE, MARINE & CASUALTY INSURANCE"),
    ("Realty Trust", "6798", "REAL ESTATE INVESTMENT TRUSTS"),
    ("Foods", "2000", "FOOD AND KINDRED PRODUCTS"),
    ("Brands", "5900", "RETAIL-MISCELLANEOUS RETAIL"),
    ("Motors", "3711", "MOTOR VEHICLES & PASSENGER CAR BODIES"),
    ("Logistics", "4731", "ARRANGEMENT OF TRANSPORTATION OF FREIGHT & CARGO"),
    ("Shipping", "4412", "DEEP SEA FOREIGN TRANSPORTATION OF FREIGHT"),
    ("Airlines", "4512", "AIR TRANSPORTATION, SCHEDULED"),
    ("Media", "7812", "SERVICES-MOTION PICTURE & VIDEO TAPE PRODUCTION"),
    ("Gaming", "7990", "SERVICES-MISCELLANEOUS AMUSEMENT & RECREATION"),
    ("Industries", "3590", "MISC INDUSTRIAL & COMMERCIAL MACHINERY & EQUIPMENT"),
    ("Materials", "2800", "CHEMICALS & ALLIED PRODUCTS"),
    ("Utilities", "4911", "ELECTRIC SERVICES"),
    ("Water", "4941", "WATER SUPPLY"),
    ("Education", "8200", "SERVICES-EDUCATIONAL SERVICES"),
    ("Digital Assets", "6199", "FINANCE SERVICES"),
]
FORMS = ["Inc.", "Corporation", "Holdings Inc.", "Group Inc.", "Company", "Corp.", "Inc. Common Stock"]
FUND_BRANDS = [
    "Meridian", "Northgate", "Bluewater", "Harborline", "Summit Peak", "Keystone Rock", "Alder", "Granite Hill", "Westerly", "Palisade",
    "Fairmont", "Lantern", "Redwood Trail", "Clearbrook", "Stonebridge",
]  # fmt: skip
THEMES = [
    "Large Cap 500", "Total Market", "Small Cap 2000", "Nasdaq 100 Index", "Mid Cap Value", "Dividend Growth", "Semiconductors", "Biotech",
    "Software", "Regional Banks", "Energy", "Gold Miners", "Clean Power", "Emerging Markets", "Developed Markets", "Japan Equity",
    "China Internet", "India Growth", "Short Treasury", "Long Treasury", "Core Bond", "High Yield", "Municipal Bond", "Inflation Protected",
    "Low Volatility", "Momentum Factor", "Quality Factor", "Real Estate", "Utilities", "Health Care", "Consumer Staples", "Robotics & AI",
    "Cybersecurity", "Cloud", "Uranium", "Lithium", "Space", "Covered Call Income", "Buffer March", "Bitcoin", "Ether", "Gold", "Silver",
    "Crude Oil", "Natural Gas", "Floating Rate", "Preferred Income", "Equal Weight", "Managed Futures", "Infrastructure",
]  # fmt: skip
CLOSED_END = [
    "Municipal Income",
    "Credit Strategies",
    "Global Dividend",
    "Floating Rate Income",
    "Convertible Opportunities",
    "Real Assets",
]
