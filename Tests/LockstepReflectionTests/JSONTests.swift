import LockstepReflection
import Testing

@Suite("json")
struct JSONTests {
  private func failure(_ text: String, depthLimit: Int? = nil) -> String? {
    do {
      _ = try JSONValue(parsing: text, depthLimit: depthLimit)
      return nil
    } catch {
      return error.description
    }
  }

  @Test("json: 64-bit integers keep their precision")
  func integers() throws {
    let value = try JSONValue(parsing: "[18446744073709551615, -9223372036854775808, \"9007199254740993\"]")
    #expect(value.text() == #"[18446744073709551615,-9223372036854775808,"9007199254740993"]"#)
    #expect(value[0]?.uint64 == .max)
    #expect(value[0]?.int == nil)
    #expect(value[1]?.int == .min)
    #expect(value[2]?.int == 9_007_199_254_740_993)
  }

  @Test("json: whole numbers are integers, however they are written")
  func wholeNumbers() throws {
    for (literal, expected) in [
      ("5.0", 5), ("5e0", 5), ("50e-1", 5), ("0.5e1", 5), ("-0", 0), ("0e99999999999999999999", 0), ("1e3", 1000),
    ] {
      #expect(JSONValue.number(literal).int == expected, "\(literal)")
    }
    for literal in ["5.5", "1e-1", "1e19", "1e99999999999999999999", "9223372036854775808"] {
      #expect(JSONValue.number(literal).int == nil, "\(literal)")
    }
  }

  @Test("json: every kind of value is read and written back, members in order")
  func roundTrip() throws {
    let text = #"{"z":[null,true,false,-1.5e+10,"a\"\\\n\u0001é𝄞"],"a":{},"e":[]}"#
    #expect(try JSONValue(parsing: text).text() == text)
    #expect(try JSONValue(parsing: " \n[ 1 , 2 ]\r\t").text() == "[1,2]")
  }

  @Test("json: pretty text has a member a line")
  func pretty() {
    let value: JSONValue = ["name": "x", "list": [1, ["deep": true]], "none": [], "empty": [:]]
    #expect(
      value.text(.pretty) == """
        {
          "name": "x",
          "list": [
            1,
            {
              "deep": true
            }
          ],
          "none": [],
          "empty": {}
        }
        """)
  }

  @Test("json: escapes, surrogate pairs among them")
  func escapes() throws {
    let value = try JSONValue(parsing: #""\"\\\/\b\f\n\r\t\u00e9\ud834\udd1e\u0000""#)
    #expect(value.string == "\"\\/\u{8}\u{C}\n\r\té𝄞\0")
  }

  @Test("json: controls that drive a terminal are written as escapes")
  func terminalControls() {
    #expect(JSONValue.string("\u{1B}[2J\u{7F}\u{9B}").text() == #""\u001b[2J\u007f\u009b""#)
  }

  @Test("json: output objects are built from literals and changed in place")
  func building() {
    var value: JSONValue = ["ok": true, "code": nil, "index": 17, "ratio": 0.5, "name": "n\(1)"]
    #expect(value.text() == #"{"ok":true,"code":null,"index":17,"ratio":0.5,"name":"n1"}"#)
    value["index"] = JSONValue(UInt64.max)
    value["code"] = nil as JSONValue?
    value["new"] = [1, 2]
    #expect(value.text() == #"{"ok":true,"index":18446744073709551615,"ratio":0.5,"name":"n1","new":[1,2]}"#)
    #expect(value["ok"]?.bool == true && value["name"]?.string == "n1" && value["new"]?.array?.count == 2)
    #expect(value["missing"] == nil && value["new"]?[2] == nil && value.object?.count == 5)
    #expect(JSONValue(Double.nan).string == "NaN" && JSONValue(-Double.infinity).string == "-Infinity")
    #expect(JSONValue(100.0).text() == "100" && JSONValue(0.1).double == 0.1 && JSONValue.null.isNull)
  }

  @Test(
    "json: an error says where and what",
    arguments: [
      ("", "line 1, column 1: expected a value, found end of the text"),
      ("{\"a\":1,\n \"é\" 2}", "line 2, column 6: expected ':' after a key, found '2'"),
      ("[1 2]", "line 1, column 4: expected ',' or ']' in an array, found '2'"),
      ("[1,]", "line 1, column 4: expected a value, found ']'"),
      ("{\"a\":1 \"b\"}", "line 1, column 8: expected ',' or '}' in an object, found '\"'"),
      ("{a:1}", "line 1, column 2: expected a key in double quotes, found 'a'"),
      ("{\"a\":1,\"b\":2,\"\\u0061\":3}", "line 1, column 14: key \"a\" is given twice"),
      ("1 x", "line 1, column 3: unexpected 'x' after the end of the value"),
      ("01", "line 1, column 1: a number must not start with 0"),
      ("-", "line 1, column 2: expected a digit, found end of the text"),
      ("1.", "line 1, column 3: expected a digit, found end of the text"),
      ("1e+", "line 1, column 4: expected a digit, found end of the text"),
      ("+1", "line 1, column 1: expected a value, found '+'"),
      ("nul", "line 1, column 1: expected a value, found 'n'"),
      ("NaN", "line 1, column 1: expected a value, found 'N'"),
      ("\"abc", "line 1, column 1: the string has no end"),
      (
        "\"a\tb\"",
        "line 1, column 3: a control character in a string must be written as an escape, found '\\u{9}'"
      ),
      ("\"\\x\"", "line 1, column 2: no escape is written \\ and 'x'"),
      ("\"\\u12g4\"", "line 1, column 2: \\u needs four hexadecimal digits"),
      ("\"\\ud834\"", "line 1, column 2: half a surrogate pair is not a character"),
      ("\"\\ud834\\u0041\"", "line 1, column 2: half a surrogate pair is not a character"),
      ("\"\\udd1e\"", "line 1, column 2: half a surrogate pair is not a character"),
      ("\"\\", "line 1, column 2: the escape has no end"),
      ("\u{FEFF}1", "line 1, column 1: expected a value, found '\\u{feff}'"),
    ])
  func errors(text: String, expected: String) {
    #expect(failure(text) == expected)
  }

  @Test("json: invalid UTF-8 is refused, with the offset")
  func invalidUTF8() {
    let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: [0x5B, 0x0A, 0x22, 0xC3, 0x28, 0x22]) }
    #expect(error?.offset == 3 && error?.line == 2 && error?.column == 2)
    #expect(error?.reason == "the text is not valid UTF-8")
  }

  @Test("json: depth is limited, and a bomb of brackets is no crash")
  func depth() throws {
    #expect(failure("[[[1]]]", depthLimit: 3) == nil)
    #expect(failure("[[[1]]]", depthLimit: 2) == "line 1, column 3: nested more than 2 deep")
    let bomb = String(repeating: "[{\"a\":", count: 500_000)
    #expect(failure(bomb)?.contains("nested more than 132 deep") == true)
  }

  @Test("json: keys that look alike but differ in bytes are two keys")
  func canonicalEquivalence() throws {
    let value = try JSONValue(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(value["\u{E9}"]?.int == 1 && value["e\u{301}"]?.int == 2)
  }

  @Test("json: any cut and any flipped bit is an error or a value, never a crash")
  func damage() {
    let text = Array(#"{"z":[null,true,-1.5e+10,"a\"\u00e9\ud834\udd1eé𝄞"],"a":{"b":[]}}"#.utf8)
    for end in text.indices { #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: Array(text[..<end])) } }
    for position in text.indices {
      for bit in 0..<8 {
        var damaged = text
        damaged[position] ^= 1 << bit
        if let value = try? JSONValue(parsing: damaged) {
          #expect((try? JSONValue(parsing: value.text())) == value)
        }
      }
    }
  }
}
