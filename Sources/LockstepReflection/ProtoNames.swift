extension String {
  /// A letter or underscore, then letters, digits and underscores, all ASCII.
  var isProtoName: Bool {
    guard let first = utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
      default:
        false
      }
    }
  }

  /// Names with dots between them.
  var isDottedName: Bool {
    split(separator: ".", omittingEmptySubsequences: false).allSatisfy { String($0).isProtoName }
  }

  /// The JSON name of a field: underscores go, and the letter behind one becomes a capital.
  var lowerCamelCase: String {
    var result = ""
    var isAfterUnderscore = false
    for character in self {
      if character == "_" {
        isAfterUnderscore = true
      } else {
        result += isAfterUnderscore ? character.uppercased() : String(character)
        isAfterUnderscore = false
      }
    }
    return result
  }

  /// The way back from `lowerCamelCase`.
  var snakeCase: String {
    reduce(into: "") { result, character in
      if character.isUppercase { result += "_" }
      result += character.lowercased()
    }
  }
}

/// The candidate that was probably meant: the nearest by insertions, deletions, replacements, swapped neighbours and
/// changes of case, if it is near at all.
func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
  // Longer names than any that a person types would only cost time.
  guard name.utf8.count <= 200 else { return nil }
  let wanted = Array(name.lowercased().utf8)
  let allowed = max(1, wanted.count / 3)
  var best: (name: String, distance: Int)?
  for candidate in candidates.prefix(2000) where abs(candidate.utf8.count - wanted.count) <= allowed {
    let distance = editDistance(wanted, Array(candidate.lowercased().utf8))
    if distance <= min(allowed, (best?.distance ?? .max) - 1) { best = (candidate, distance) }
  }
  return best?.name
}

private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...right.count)
  for row in left.indices {
    var current = [row + 1]
    for column in right.indices {
      var distance = min(last[column] + (left[row] == right[column] ? 0 : 1), last[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        distance = min(distance, beforeLast[column - 1] + 1)
      }
      current.append(distance)
    }
    beforeLast = last
    last = current
  }
  return last[right.count]
}

/// Names as an error lists them, cut off where nobody reads on.
func list(_ names: some Collection<String>) -> String {
  let shown = names.prefix(20).joined(separator: ", ")
  return names.count > 20 ? "\(shown) and \(names.count - 20) more" : shown
}
