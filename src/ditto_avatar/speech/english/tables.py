"""Units, currencies, signs and capitals of English texts, with their names."""

from __future__ import annotations

PREFIXED = (
    ("m", "meter", {"k": "kilo", "c": "centi", "m": "milli", "n": "nano", "µ": "micro"}),
    ("g", "gram", {"k": "kilo", "m": "milli", "µ": "micro"}),
    ("B", "byte", {"K": "kilo", "k": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta"}),
    ("b", "bit", {"K": "kilo", "k": "kilo", "M": "mega", "G": "giga"}),
    ("s", "second", {"m": "milli", "µ": "micro", "n": "nano"}),
    ("L", "liter", {"m": "milli"}),
    ("l", "liter", {"m": "milli"}),
    ("W", "watt", {"k": "kilo", "M": "mega", "G": "giga"}),
    ("V", "volt", {"k": "kilo", "m": "milli"}),
    ("A", "amp", {"m": "milli"}),
    ("J", "joule", {"k": "kilo", "M": "mega"}),
    ("Pa", "pascal", {"h": "hecto", "k": "kilo", "M": "mega"}),
    ("Wh", "watt hour", {"k": "kilo", "M": "mega"}),
    ("cal", "calorie", {"k": "kilo"}),
)
# Unit → its name for one and for several.
UNITS = {
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "m/s": ("meter per second", "meters per second"),
    "ft/s": ("foot per second", "feet per second"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters"),
    "cm²": ("square centimeter", "square centimeters"),
    "ft²": ("square foot", "square feet"),
    "m³": ("cubic meter", "cubic meters"),
    "cm³": ("cubic centimeter", "cubic centimeters"),
    "sq ft": ("square foot", "square feet"),
    "fps": ("frame per second", "frames per second"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "h": ("hour", "hours"),
    "yrs": ("year", "years"),
    "lbs": ("pound", "pounds"),
    "lb": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "mi": ("mile", "miles"),
    "yd": ("yard", "yards"),
    "ha": ("hectare", "hectares"),
    "kn": ("knot", "knots"),
    "tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "Hz": ("hertz", "hertz"),
    "dB": ("decibel", "decibels"),
    "px": ("pixel", "pixels"),
    "MP": ("megapixel", "megapixels"),
    "ppm": ("part per million", "parts per million"),
    "dpi": ("dot per inch", "dots per inch"),
    "mAh": ("milliamp hour", "milliamp hours"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
    "kbps": ("kilobit per second", "kilobits per second"),
    "MB/s": ("megabyte per second", "megabytes per second"),
    "GB/s": ("gigabyte per second", "gigabytes per second"),
    "mL": ("milliliter", "milliliters"),
    "cc": ("cubic centimeter", "cubic centimeters"),
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    **{
        f"{sign}{unit}": (f"{prefix}{name}", f"{prefix}{name}s")
        for unit, name, prefixes in PREFIXED
        for sign, prefix in prefixes.items()
    },
}
# Read only behind a space or directly behind a number, where no other reading is likely.
SHORT_UNITS = {"L": ("liter", "liters"), "W": ("watt", "watts"), "V": ("volt", "volts")}
# What may follow a slash behind a price or a number.
PER = {
    "mo": "month",
    "month": "month",
    "yr": "year",
    "year": "year",
    "wk": "week",
    "week": "week",
    "day": "day",
    "hr": "hour",
    "h": "hour",
    "hour": "hour",
    "min": "minute",
    "s": "second",
    "sec": "second",
    "kg": "kilogram",
    "g": "gram",
    "lb": "pound",
    "oz": "ounce",
    "person": "person",
    "night": "night",
    "user": "user",
    "gal": "gallon",
    "l": "liter",
    "L": "liter",
    "m²": "square meter",
    "each": "each",
}

# Sign → its name for one and for several, its hundredth for one and for several.
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("U S dollar", "U S dollars", "cent", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "AU$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "CA$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "NZ$": ("New Zealand dollar", "New Zealand dollars", "cent", "cents"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "S$": ("Singapore dollar", "Singapore dollars", "cent", "cents"),
    "R$": ("real", "reais", "centavo", "centavos"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₩": ("won", "won", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₺": ("lira", "lira", "", ""),
    "฿": ("baht", "baht", "", ""),
    "₫": ("dong", "dong", "", ""),
    "₿": ("bitcoin", "bitcoins", "", ""),
}
CODES = {
    "USD": "U S dollars",
    "EUR": "euros",
    "GBP": "pounds",
    "JPY": "yen",
    "KRW": "won",
    "CNY": "yuan",
    "CHF": "Swiss francs",
    "AUD": "Australian dollars",
    "CAD": "Canadian dollars",
    "INR": "rupees",
}
MAGNITUDES = {
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "b": "billion",
    "B": "billion",
    "bn": "billion",
    "Bn": "billion",
    "t": "trillion",
    "T": "trillion",
    "tn": "trillion",
}

SHORT_FORMS = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "vs": "versus",
    "approx.": "approximately",
    "w/o": "without",
    "w/": "with",
    "c/o": "care of",
    "a.k.a.": "also known as",
    "aka": "also known as",
    "n/a": "not applicable",
}
# Shown between words or numbers; the longer ones first.
SIGNS = {
    "<=": "is at most",
    ">=": "is at least",
    "≤": "is at most",
    "≥": "is at least",
    "!=": "is not equal to",
    "≠": "is not equal to",
    "==": "equals",
    "->": ",",
    "=>": ",",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "=": "equals",
    "&": "and",
    "≈": "is about",
    "≡": "is equivalent to",
    "∞": "infinity",
    "√": "the square root of",
    "π": "pi",
    "∑": "the sum of",
    "∈": "is in",
    "∝": "is proportional to",
    "−": "minus",
    "·": "times",
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
    "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
    "⅞": "7/8",
}  # fmt: skip

# Spelt in any text, also where everything stands in capitals.
ACRONYMS = frozenset(
    "USA UK FBI CIA NASA NATO CEO CFO CTO GPS AI TV DVD CD PDF HTML CSS API CPU GPU FAQ ATM DIY "
    "EU UN UFO VIP PIN SMS URL USB RAM LED LCD HR PR IQ DNA RNA HIV AIDS BBC CNN IBM MTV NBA NFL "
    "FIFA PC DJ MC PhD MBA BMW VW RSVP ASAP TBD TBA LLC GDP IMF WHO WTO SQL JSON XML HTTP HTTPS "
    "AWS GPT LLM NFT ETA FYI BTW OMG LOL ID ER ICU MRI CT IV AC DC AM PM BC AD NYC LA DC UV SUV "
    "KTX BTS EDM SOS VPN IP TCP DNS SSH CLI GUI SDK IDE OS".split()
)
# Capitals for stress: never letters one by one, whatever stands around.
STRESSED = frozenset(
    "NOT ALL AND THE YOU ARE NEVER MUST DO WE MY SO TO VERY REALLY ALWAYS ONLY EVERY NOW NO YES "
    "STOP PLEASE DONT CAN CANNOT WILL BIG BEST NEW FREE HOT WOW HEY OH THIS THAT THESE THOSE YOUR "
    "OUR HIS HER ITS WAS WERE BE BEEN HAVE HAS HAD DID DOES BUT FOR WITH FROM INTO OUT OFF OVER "
    "UNDER WHY HOW WHEN WHERE WHAT ONE TWO MORE MOST LESS LEAST ANY EACH BOTH SOME MANY MUCH TOO "
    "AN AT BY IF IN IS OF ON UP AS HE ME AM GO".split()
)
