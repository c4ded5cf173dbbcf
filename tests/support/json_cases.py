r"""Values that are JSON and values that are not, by kinds; what is wrong with each, said by hand.

`y_` must be accepted, `n_` refused; `i_` is what RFC 8259 leaves to implementations, and RULES say what
holds here. Each value stands as the last member of an object, so that a `}` follows it.
"""

from __future__ import annotations

from typing import NamedTuple

RUNS_ON = -1
"""A string goes on to the next quote, or to what no string may hold: what follows that is wrong."""
ONE_SHORT = -2
"""The bracket that follows closes the value; the object around it is never closed."""


class Wrong(NamedTuple):
    """A value that is no JSON."""

    value: bytes
    at: int
    """The first byte with which no well-formed document goes on, from the value's first."""
    token: int
    """Where the token begins that this byte spoils."""


class Case(NamedTuple):
    """What RFC 8259 leaves open."""

    value: bytes
    rule: str


def wrong(value: bytes, at: int | None = None, token: int | None = None) -> Wrong:
    """`at` defaults to the byte that follows the value, `token` to `at`."""
    at = len(value) if at is None else at
    return Wrong(value, at, max(at, 0) if token is None else token)


_NUMBERS = (
    b"0", b"-0", b"7", b"-7", b"1234567890", b"0.5", b"-0.5", b"0.0", b"10.01", b"1e5", b"1E5", b"1e+5",
    b"1E+5", b"1e-5", b"1E-5", b"0e0", b"0e+1", b"0E-1", b"-1e05", b"1.5e3", b"-1.25E-2", b"123e65",
    b"1e0001", b"0.00000000000000000000000000000000000000001", b"-0.0000000000000000000000",
    b"9007199254740993", b"9223372036854775807", b"-9223372036854775808", b"1.7976931348623157e308",
    b"3.141592653589793238462643383279",
)  # fmt: skip

_STRINGS = (
    b"", b" ", b"a", b"\\\"", b"\\\\", b"\\/", b"\\b\\f\\n\\r\\t", b"/", b"//", b"/*a*/", b"'", b"#",
    b"\\\\n", b"\\\\\\\"", b"\\u0041", b"\\u00e9", b"\\u00E9", b"\\uaBcD", b"\\u0000", b"\\u0001",
    b"\\u0022", b"\\u005C", b"\\u007f", b"\x7f", b"\\u2028\\u2029", b"\xe2\x80\xa8\xe2\x80\xa9",
    b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xf4\x8f\xbf\xbf", b"\xf0\x90\x80\x80",
    b"\xef\xbf\xbf", b"\xef\xb7\x90", b"\xef\xbb\xbf", b"\xc2\x80", b"\xc2\xa0", b"\\ud83d\\ude00",
    b"\\uD83D\\uDE00", b"\\ud800\\udc00", b"\\udbff\\udfff", b"\\ufffe", b"\\uFDD0", b"\\u200b",
    b"\xed\x9f\xbf", b"\xee\x80\x80", b"{[,:]}", b"}},", b"null", b"1e9", b"NaN", b"\\u005c\\u0022",
    b"a\\u0062c",
)  # fmt: skip

_STRUCTURES = {
    "null": b"null", "true": b"true", "false": b"false", "array_empty": b"[]", "object_empty": b"{}",
    "array_of_blanks": b"[ \t\r]", "object_of_blanks": b"{ \t\r}", "array_one": b"[1]",
    "array_two": b"[1,2]", "array_mixed": b'[null,1,"1",{},[],true]', "array_nested": b"[[[]],[[],[]]]",
    "array_of_empty_string": b'[""]', "blanks_before": b" \t\r1", "blanks_after": b"1 \t\r",
    "blanks_all_around": b' { "a" : [ 1 , 2 ] } ', "newlines": b'\n{\n"a"\n:\n[\n1\n,\n2\n]\n}\n',
    "array_long": b"[" + b"0," * 500 + b"0]", "array_spaced": b"[1 , 2]", "object_one": b'{"a":1}',
    "object_two": b'{"a":1,"b":2}', "object_empty_name": b'{"":0}', "object_names_twice": b'{"a":1,"a":2}',
    "object_all_twice": b'{"a":1,"a":1}', "object_nested": b'{"a":{"b":{"c":{}}}}',
    "object_escaped_name": b'{"\\u0061\\n":1}', "object_long_name": b'{"' + b"x" * 2000 + b'":1}',
    "object_of_wanted": b'{"Proposal":{"Client":"f01000"}}',
    "object_like_records": b'{"1":{"Proposal":{}},"2":{"Proposal":{}}}',
    "depth_100": b"[" * 100 + b"]" * 100, "object_depth_100": b'{"a":' * 100 + b"1" + b"}" * 100,
}  # fmt: skip

YES: dict[str, bytes] = (
    {f"y_number_{number.decode()[:40]}": number for number in _NUMBERS}
    | {f"y_string_{ascii(text)[2:-1]}": b'"' + text + b'"' for text in _STRINGS}
    | {f"y_structure_{name}": value for name, value in _STRUCTURES.items()}
)

_WRONG_NUMBERS = {
    "leading_zero": wrong(b"01", 1, 0), "negative_leading_zero": wrong(b"-01", 2, 0),
    "zeros": wrong(b"00", 1, 0), "leading_zero_fraction": wrong(b"00.5", 1, 0), "minus": wrong(b"-", 1, 0),
    "two_minuses": wrong(b"--1", 1, 0), "plus": wrong(b"+1", 0), "plus_zero": wrong(b"+0", 0),
    "plus_minus": wrong(b"+-1", 0), "minus_plus": wrong(b"-+1", 1, 0), "point_first": wrong(b".5", 0),
    "point_last": wrong(b"5.", 2, 0), "minus_point": wrong(b"-.5", 1, 0), "point": wrong(b".", 0),
    "minus_zero_point": wrong(b"-0.", 3, 0), "two_points": wrong(b"1..2", 2, 0),
    "points_apart": wrong(b"1.2.3", 3, 0), "point_exponent": wrong(b"1.e5", 2, 0),
    "zero_point_e": wrong(b"0.e1", 2, 0), "e": wrong(b"e", 0), "e_first": wrong(b"e5", 0),
    "point_e_first": wrong(b".e5", 0), "e_last": wrong(b"1e", 2, 0), "upper_e_last": wrong(b"1E", 2, 0),
    "e_plus": wrong(b"1e+", 3, 0), "e_minus": wrong(b"1e-", 3, 0), "zero_e": wrong(b"0e", 2, 0),
    "fraction_e": wrong(b"0.3e", 4, 0), "two_es": wrong(b"1ee2", 2, 0), "e_e": wrong(b"1e2e3", 3, 0),
    "e_fraction": wrong(b"1e2.5", 3, 0), "e_plus_minus": wrong(b"1e+-2", 3, 0),
    "hexadecimal": wrong(b"0x1F", 1, 0), "upper_hexadecimal": wrong(b"0X1F", 1, 0),
    "octal": wrong(b"0o17", 1, 0), "binary": wrong(b"0b11", 1, 0), "letters": wrong(b"12ab", 2, 0),
    "underscore": wrong(b"1_000", 1, 0), "thousands": wrong(b"1 000", 2), "suffix": wrong(b"1L", 1, 0),
    "suffix_f": wrong(b"1.5f", 3, 0), "minus_letter": wrong(b"-x", 1, 0), "sum": wrong(b"1+2", 1, 0),
    "difference": wrong(b"1-2", 1, 0), "minus_last": wrong(b"1-", 1, 0), "minus_blank": wrong(b"- 1", 1, 0),
    "e_blank": wrong(b"1e 5", 2, 0), "point_blank": wrong(b"1. 5", 2, 0), "percent": wrong(b"5%", 1, 0),
    "fraction": wrong(b"1/2", 1, 0), "fullwidth": wrong("\uff11".encode(), 0),
    "arabic": wrong("\u0661".encode(), 0), "superscript": wrong("1\u00b2".encode(), 1, 0),
    "minus_sign": wrong("\u22121".encode(), 0), "NUL": wrong(b"1\x00", 1, 0),
    "high_byte": wrong(b"1\xff", 1, 0), "in_parentheses": wrong(b"(1)", 0), "comma": wrong(b"1,5", 2),
    "nothing_before_colon": wrong(b"1:2", 1), "e_letter": wrong(b"1ea", 2, 0),
}  # fmt: skip

_WRONG_LITERALS = {
    "NaN": wrong(b"NaN", 1, 0), "nan": wrong(b"nan", 1, 0), "minus_NaN": wrong(b"-NaN", 1, 0),
    "Infinity": wrong(b"Infinity", 0), "minus_Infinity": wrong(b"-Infinity", 1, 0),
    "plus_Infinity": wrong(b"+Infinity", 0), "inf": wrong(b"inf", 0), "minus_inf": wrong(b"-inf", 1, 0),
    "NaN_in_array": wrong(b"[1,NaN]", 3), "Infinity_later": wrong(b'["NaN",-Infinity]', 8, 7),
    "True": wrong(b"True", 0), "TRUE": wrong(b"TRUE", 0), "False": wrong(b"False", 0),
    "None": wrong(b"None", 0), "Null": wrong(b"Null", 0), "nul": wrong(b"nul", 3, 0),
    "tru": wrong(b"tru", 3, 0), "fals": wrong(b"fals", 4, 0), "n": wrong(b"n", 1, 0),
    "trueX": wrong(b"truex", 4, 0), "nulll": wrong(b"nulll", 4, 0), "fa1se": wrong(b"fa1se", 2, 0),
    "tr_ue": wrong(b"tr ue", 2, 0), "true_true": wrong(b"true true", 5),
    "nullnull": wrong(b"nullnull", 4, 0), "undefined": wrong(b"undefined", 0), "word": wrong(b"abc", 0),
    "name": wrong(b"{a:1}", 1), "capital_in_array": wrong(b"[1,True]", 3), "yes": wrong(b"yes", 0),
    "dollar": wrong(b"$1", 0), "escape": wrong(b"\\u006eull", 0),
}  # fmt: skip

_WRONG_STRINGS = {
    "not_closed": wrong(b'"abc', RUNS_ON, 0), "only_quote": wrong(b'"', RUNS_ON, 0),
    "escaped_end": wrong(b'"abc\\"', RUNS_ON, 0), "backslash_end": wrong(b'"\\\\\\"', RUNS_ON, 0),
    "opened_late": wrong(b'abc"', 0), "after_string": wrong(b'"a"b', 3), "two": wrong(b'"a" "b"', 4),
    "adjacent": wrong(b'"a""b"', 3), "single_quotes": wrong(b"'a'", 0),
    "single_quote_in_array": wrong(b"['a']", 1), "backtick": wrong(b"`a`", 0),
    "curly_quotes": wrong("\u201ca\u201d".encode(), 0), "no_quotes": wrong(b"[a]", 1),
    "doubled_quote": wrong(b'"a""', 3), "escape_x": wrong(b'"\\x41"', 2, 0),
    "escape_a": wrong(b'"\\a"', 2, 0), "escape_v": wrong(b'"\\v"', 2, 0), "escape_0": wrong(b'"\\0"', 2, 0),
    "escape_octal": wrong(b'"\\101"', 2, 0), "escape_quote": wrong(b'"\\\'"', 2, 0),
    "escape_blank": wrong(b'"\\ "', 2, 0), "escape_newline": wrong(b'"\\\n"', 2, 0),
    "escape_U": wrong(b'"\\U0041"', 2, 0), "escape_e": wrong(b'"\\e"', 2, 0),
    "escape_N": wrong(b'"a\\N"', 3, 0), "escape_after": wrong(b'"a"\\n', 3),
    "escape_before": wrong(b'\\n"a"', 0), "escape_emoji": wrong(b'"\\\xf0\x9f\x98\x80"', 2, 0),
    "escape_bad_byte": wrong(b'"\\\xff"', 2, 0), "escape_NUL": wrong(b'"\\\x00"', 2, 0),
    "code_none": wrong(b'"\\u"', 3, 0), "code_1": wrong(b'"\\u1"', 4, 0), "code_2": wrong(b'"\\u12"', 5, 0),
    "code_3": wrong(b'"\\u123"', 6, 0), "code_letter": wrong(b'"\\u12G4"', 5, 0),
    "code_blank": wrong(b'"\\u 123"', 3, 0), "code_plus": wrong(b'"\\u+123"', 3, 0),
    "code_minus": wrong(b'"\\u-123"', 3, 0), "code_0x": wrong(b'"\\u0x12"', 4, 0),
    "code_underscore": wrong(b'"\\u1_23"', 4, 0), "code_braces": wrong(b'"\\u{41}"', 3, 0),
    "code_fullwidth": wrong('"\\u\uff11234"'.encode(), 3, 0), "code_bad_byte": wrong(b'"\\u00\xe5"', 5, 0),
    "surrogate_then_short": wrong(b'"\\ud800\\u1"', 10, 0),
    "surrogate_then_u": wrong(b'"\\ud800\\u"', 9, 0), "surrogate_then_x": wrong(b'"\\ud800\\x"', 8, 0),
    "surrogate_half": wrong(b'"\\ud8"', 5, 0), "surrogate_then_letters": wrong(b'"\\ud83d\\udeG0"', 11, 0),
} | {
    f"control_{code:02x}": wrong(b'"a' + bytes([code]) + b'"', 2, 0)
    for code in (0, 1, 8, 9, 10, 11, 12, 13, 27, 31)
} | {
    "control_in_name": wrong(b'{"a\tb":1}', 3, 1), "NUL_in_name": wrong(b'{"\x00":1}', 2, 1),
    "newline_after_text": wrong(b'"long text\n"', 10, 0),
}  # fmt: skip

_WRONG_BYTES = {
    "lone_continuation": wrong(b'"\x80"', 1, 0), "last_continuation": wrong(b'"a\xbf"', 2, 0),
    "latin_1": wrong(b'"caf\xe9"', 5, 0), "FE": wrong(b'"\xfe"', 1, 0), "FF": wrong(b'"\xff"', 1, 0),
    "overlong_2": wrong(b'"\xc0\xaf"', 1, 0), "overlong_NUL": wrong(b'"\xc0\x80"', 1, 0),
    "overlong_3": wrong(b'"\xe0\x80\xaf"', 2, 0), "overlong_4": wrong(b'"\xf0\x80\x80\xaf"', 2, 0),
    "overlong_5": wrong(b'"\xf8\x80\x80\x80\x80"', 1, 0),
    "overlong_6": wrong(b'"\xfc\x80\x80\x80\x80\x80"', 1, 0), "surrogate": wrong(b'"\xed\xa0\x80"', 2, 0),
    "low_surrogate": wrong(b'"\xed\xbf\xbf"', 2, 0),
    "surrogate_pair": wrong(b'"\xed\xa0\xbd\xed\xb8\x80"', 2, 0),
    "beyond_Unicode": wrong(b'"\xf4\x90\x80\x80"', 2, 0), "F5": wrong(b'"\xf5\x80\x80\x80"', 1, 0),
    "cut_2": wrong(b'"\xc3"', 2, 0), "cut_3": wrong(b'"\xe2\x82"', 3, 0),
    "cut_4": wrong(b'"\xf0\x9f\x98"', 4, 0), "in_name": wrong(b'{"\xe9":1}', 3, 1),
    "outside": wrong(b"\xff", 0), "in_array": wrong(b"[\xe9]", 1), "after_number": wrong(b"[1\x80]", 2),
    "BOM": wrong(b"\xef\xbb\xbf1", 0), "BOM_in_array": wrong(b"[\xef\xbb\xbf]", 1),
    "UTF_16": wrong(b"[\x00]\x00", 1), "late": wrong(b'["\xc3\xa9\xc3\xa9",tru,"\xff"]', 11, 8),
    "after_another": wrong(b'[1 2,"\xff"]', 3), "before_another": wrong(b'["\xff",1 2]', 2, 1),
}  # fmt: skip

_WRONG_STRUCTURES = {
    "nothing": wrong(b""), "blanks": wrong(b" \t "), "comma": wrong(b",", 0), "colon": wrong(b":", 0),
    "array_not_closed": wrong(b"[1"), "array_open": wrong(b"["), "array_open_comma": wrong(b"[1,"),
    "arrays_open": wrong(b"[[[["), "array_closed_by_brace": wrong(b"[1}", 2),
    "array_only_closed": wrong(b"]", 0), "array_closed_twice": wrong(b"[1]]", 3),
    "array_comma_first": wrong(b"[,1]", 1), "array_comma": wrong(b"[,]", 1),
    "array_comma_last": wrong(b"[1,]", 3, 2), "array_two_commas": wrong(b"[1,,2]", 3, 2),
    "array_two_commas_last": wrong(b"[1,,]", 3, 2), "array_no_comma": wrong(b"[1 2]", 3),
    "array_no_comma_strings": wrong(b'["a" "b"]', 5), "array_no_comma_arrays": wrong(b"[[][]]", 3),
    "array_colon": wrong(b'["a":1]', 4), "array_semicolon": wrong(b"[1;2]", 2, 1),
    "array_of_colon": wrong(b"[:]", 1), "array_minus": wrong(b"[-]", 2, 1), "array_star": wrong(b"[*]", 1),
    "array_open_string": wrong(b'["a', RUNS_ON, 1), "array_in_array_open": wrong(b"[[1]"),
    "array_newlines_open": wrong(b"[1,\n1\n,1"), "array_dots": wrong(b"[1,...]", 3, 2),
    "array_blank_comma": wrong(b"[1, ,2]", 4, 2), "object_open": wrong(b"{", ONE_SHORT),
    "object_one_short": wrong(b'{"a":1', ONE_SHORT), "object_name": wrong(b'{"a"}', 4),
    "object_name_open": wrong(b'{"a"'), "object_colon_open": wrong(b'{"a":'),
    "object_comma_open": wrong(b'{"a":1,', None, 6), "object_no_value": wrong(b'{"a":}', 5),
    "object_no_colon": wrong(b'{"a" 1}', 5), "object_comma_for_colon": wrong(b'{"a",1}', 4),
    "object_two_colons": wrong(b'{"a"::1}', 5), "object_equals": wrong(b'{"a"=1}', 4),
    "object_arrow": wrong(b'{"a"=>1}', 4), "object_comma_last": wrong(b'{"a":1,}', 7, 6),
    "object_commas_last": wrong(b'{"a":1,,}', 7, 6), "object_comma_first": wrong(b'{,"a":1}', 1),
    "object_only_comma": wrong(b"{,}", 1), "object_two_commas": wrong(b'{"a":1,,"b":2}', 7, 6),
    "object_no_comma": wrong(b'{"a":1 "b":2}', 7), "object_semicolon": wrong(b'{"a":1;"b":2}', 6, 5),
    "object_number_name": wrong(b"{1:1}", 1), "object_null_name": wrong(b"{null:1}", 1),
    "object_array_name": wrong(b"{[]:1}", 1), "object_single_quoted_name": wrong(b"{'a':1}", 1),
    "object_bare_name": wrong(b'{a:"b"}', 1), "object_value_only": wrong(b"{1}", 1),
    "object_closed_by_bracket": wrong(b'{"a":1]', 6), "object_string_open": wrong(b'{"a":"b', RUNS_ON, 5),
    "object_name_string_open": wrong(b'{"a', RUNS_ON, 1), "object_two_values": wrong(b'{"a":1 2}', 7),
    "object_colon_value": wrong(b"{:1}", 1), "object_trailing_colon": wrong(b'{"a":1:2}', 6),
    "crossed": wrong(b"[{]}", 2), "crossed_deep": wrong(b'{"a":[{"b":[1}]}]', 13),
    "two_values": wrong(b"1 2", 2), "two_objects": wrong(b"{}{}", 2), "two_arrays": wrong(b"[] []", 3),
    "block_comment": wrong(b"/**/1", 0), "comment_after": wrong(b"1/**/", 1),
    "line_comment": wrong(b"1 // a", 2), "hash_comment": wrong(b"1 # a", 2),
    "comment_in_array": wrong(b"[1,/*a*/2]", 3, 2), "angle_brackets": wrong(b"<1>", 0),
    "angle_null": wrong(b"<null>", 0), "tuple": wrong(b"(1,2)", 0), "at_sign": wrong(b"@", 0),
    "question_mark": wrong(b"?", 0), "form_feed": wrong(b"\x0c1", 0), "form_feed_after": wrong(b"1\x0c", 1),
    "vertical_tab": wrong(b"[\x0b1]", 1), "vertical_tab_after": wrong(b"[1\x0b]", 2),
    "NUL": wrong(b"\x00", 0), "NUL_in_array": wrong(b"[\x00]", 1), "NUL_after": wrong(b"null \x00", 5),
    "DEL": wrong(b"\x7f", 0), "escape_character": wrong(b"\x1b[0m", 0),
    "no_break_space": wrong(b"[\xc2\xa0]", 1), "next_line": wrong(b"[1\xc2\x85]", 2),
    "line_separator": wrong(b"[1,\xe2\x80\xa8 2]", 3, 2), "word_joiner": wrong(b"\xe2\x81\xa01", 0),
    "ideographic_space": wrong(b"1\xe3\x80\x80", 1), "emoji": wrong(b"\xf0\x9f\x98\x80", 0),
    "deep_crossed": wrong(b"[" * 3000 + b"}", 3000),
    "deep_wrong": wrong(b"[" * 3000 + b"nul" + b"]" * 3000, 3003, 3000),
    "deep_object_wrong": wrong(b'{"a":' * 2000 + b"01" + b"}" * 2000, 10001, 10000),
    "deep_open": wrong(b"[" * 3000),
}  # fmt: skip

NO: dict[str, Wrong] = {
    f"n_{kind}_{name}": case
    for kind, cases in {
        "number": _WRONG_NUMBERS, "literal": _WRONG_LITERALS, "string": _WRONG_STRINGS,
        "bytes": _WRONG_BYTES, "structure": _WRONG_STRUCTURES,
    }.items()
    for name, case in cases.items()
}  # fmt: skip

RULES = {
    "any size": "a number of any size and precision is well-formed, and is no matter where it is not used",
    "lone": "a lone surrogate is well-formed; a matching record with one is rejected, for it is no text",
    "deep": "a record deeper than the interpreter goes (about 1,000 levels; from Python 3.12 on, thousands)"
    " is rejected; around the records any depth is read",
}

OPEN: dict[str, Case] = {
    f"i_number_{name}": Case(value, "any size")
    for name, value in {
        "exponent_400": b"1e400", "minus_exponent_400": b"-1e400", "exponent_9999": b"1.5e9999",
        "exponent_tiny": b"1e-9999", "exponent_20_digits": b"1e99999999999999999999",
        "minus_exponent_20_digits": b"1e-99999999999999999999",
        "zero_to_the_20_digits": b"0e99999999999999999999",
        "zeros_before_exponent": b"0.4e00669999999999999999999999999999999999",
        "2_64": b"18446744073709551616", "2_63": b"9223372036854775808",
        "below_2_63": b"-9223372036854775809", "30_digits": b"123456789012345678901234567890",
        "minus_30_digits": b"-123456789012345678901234567890", "400_digits": b"9" * 400,
        "5000_digits": b"9" * 5000, "minus_5000_digits": b"-" + b"9" * 5000,
        "5000_digits_after_the_point": b"0." + b"1" * 5000,
        "5000_digits_and_exponent": b"1" * 5000 + b"e-5000", "20000_zeros": b"1" + b"0" * 20000,
        "in_array": b"[1e999,-1e999]",
    }.items()
} | {
    f"i_string_{name}": Case(value, "lone")
    for name, value in {
        "high_surrogate": b'"\\ud800"', "low_surrogate": b'"\\udc00"', "last_low_surrogate": b'"\\uDFFF"',
        "swapped": b'"\\ude00\\ud83d"', "high_twice": b'"\\ud800\\ud800"',
        "high_then_text": b'"\\ud83dabc"', "high_then_other_code": b'"\\ud83d\\u0041"',
        "high_then_newline": b'"\\ud800\\n"', "high_then_pair": b'"\\ud800\\ud83d\\ude00"',
        "pair_then_low": b'"\\ud83d\\ude00\\ude00"', "name": b'{"\\udfaa":1}',
        "in_array": b'["a","\\udead"]',
    }.items()
} | {
    f"i_structure_{name}": Case(value, "deep")
    for name, value in {
        "3000_arrays": b"[" * 3000 + b"]" * 3000, "20000_arrays": b"[" * 20000 + b"]" * 20000,
        "5000_objects": b'{"a":' * 5000 + b"null" + b"}" * 5000,
        "3000_of_either": b'[{"a":' * 3000 + b"[]" + b"}]" * 3000,
        "3000_spaced": b"[ " * 3000 + b" ]" * 3000,
    }.items()
}  # fmt: skip

AFTER: tuple[bytes, ...] = (
    b"x", b"]", b"}", b",", b":", b"{}", b"[]", b"1", b'""', b"null", b"\x00", b"\x0c", b"\x0b", b"\x1a",
    b"\xef\xbb\xbf", b"//", b"#", b"/**/", b"'", b"\xa0", b"\xff", b"\xe2\x81\xa0", b" ,", b"\n\n}", b"\t1",
)  # fmt: skip
"""What may not follow a whole document; its first byte that is no white space is wrong."""

BEFORE: tuple[bytes, ...] = (
    b"x", b",", b":", b"]", b"}", b"\x0c", b"\x0b", b"//\n", b"#\n", b"<", b"+", b"\xa0", b"\xe2\x80\xa8",
    b"\x1f", b"'", b"\\", b"(", b")]}'\n", b" \xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf",
)  # fmt: skip
"""What may not precede one; its first byte that is neither white space nor a BOM in its place is wrong."""
