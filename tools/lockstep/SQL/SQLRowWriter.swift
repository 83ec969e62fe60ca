import Foundation
import LockstepReflection
import LockstepSQL

/// How rows are shown.
enum SQLMode: String, CaseIterable {
  case list, csv, json, table
}

/// Rows as the sqlite3 shell writes them.
struct SQLRowWriter {
  var mode = SQLMode.list
  var showsHeaders = false

  func text(_ columns: [Lockstep_Sql_V1_Column], _ rows: [Lockstep_Sql_V1_Row]) -> String {
    let names = columns.map(\.name)
    guard !rows.isEmpty else { return "" }
    switch mode {
    case .list:
      let lines = rows.map { $0.values.map { Self.text($0) ?? "" }.joined(separator: "|") + "\n" }
      return (showsHeaders ? names.joined(separator: "|") + "\n" : "") + lines.joined()
    case .csv:
      let lines = rows.map { $0.values.map { Self.text($0).map(Self.csv) ?? "" }.joined(separator: ",") + "\r\n" }
      return (showsHeaders ? names.map(Self.csv).joined(separator: ",") + "\r\n" : "") + lines.joined()
    case .json:
      let objects = rows.map { row in
        "{" + zip(names, row.values).map { JSONValue.string($0).text() + ":" + Self.json($1) }.joined(separator: ",")
          + "}"
      }
      return "[" + objects.joined(separator: ",\n") + "]\n"
    case .table: return Self.table(names, rows.map { $0.values.map { Self.text($0) ?? "" } })
    }
  }

  /// Nil is NULL.
  static func text(_ value: Lockstep_Sql_V1_Value) -> String? {
    switch value.kind {
    case nil, .null: nil
    case .integer(let number): "\(number)"
    case .real(let number): text(number)
    case .text(let text): text
    case .blob(let bytes): String(decoding: bytes, as: UTF8.self)
    }
  }

  /// With fifteen digits, and at least one behind the point.
  private static func text(_ number: Double) -> String {
    guard number.isFinite else { return number < 0 ? "-Inf" : "Inf" }
    let text = String(format: "%.15g", number)
    guard !text.contains(".") else { return text }
    guard let exponent = text.firstIndex(of: "e") else { return text + ".0" }
    return text[..<exponent] + ".0" + text[exponent...]
  }

  private static func csv(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      byte > 0x20 && byte < 0x7f && ![UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: ",")].contains(byte)
    }
    return isPlain && !text.isEmpty ? text : "\"" + text.replacing("\"", with: "\"\"") + "\""
  }

  private static func json(_ value: Lockstep_Sql_V1_Value) -> String {
    switch value.kind {
    case .integer, .real: text(value) ?? "null"
    case .text, .blob: JSONValue.string(text(value) ?? "").text()
    case nil, .null: "null"
    }
  }

  private static func table(_ names: [String], _ rows: [[String]]) -> String {
    var widths = names.map(\.count)
    for row in rows { for (place, cell) in row.enumerated() { widths[place] = max(widths[place], cell.count) } }
    let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "+") + "+\n"
    func line(_ cells: [String]) -> String {
      "|"
        + zip(cells, widths).map { " " + $0 + String(repeating: " ", count: $1 - $0.count) + " " }.joined(
          separator: "|") + "|\n"
    }
    return rule + line(names) + rule + rows.map(line).joined() + rule
  }
}
