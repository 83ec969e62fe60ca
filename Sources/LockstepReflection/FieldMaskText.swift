/// google.protobuf.FieldMask: paths of the .proto file's names, written in JSON as one string of lowerCamelCase ones.
enum FieldMaskText {
  /// `nil` when a path would not come back as it was.
  static func text(of paths: [String]) -> String? {
    let names = paths.map(\.lowerCamelCase)
    guard paths.allSatisfy(isPath), zip(paths, names).allSatisfy({ $1.snakeCase == $0 }) else { return nil }
    return names.joined(separator: ",")
  }

  static func paths(of text: String) -> [String]? {
    guard !text.isEmpty else { return [] }
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard names.allSatisfy({ isPath($0) && !$0.contains("_") }) else { return nil }
    return names.map(\.snakeCase)
  }

  private static func isPath(_ text: String) -> Bool { text.isDottedName }
}
