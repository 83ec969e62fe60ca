/// Everything that reads bytes from elsewhere. tools/fuzz builds and runs it.
@main
enum Main {
  static func main() {
    Harness.main([
      .frames, .peer, .client, .entries, .disk, .logDamage, .logRecords, .descriptors, .json, .messages,
    ])
  }
}
